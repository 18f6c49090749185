"""Users' servers: which run, how long they cannot be reached, and why they end."""
