"""Users' servers: which are running, their downtime, and why they ended."""
