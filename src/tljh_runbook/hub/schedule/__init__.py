"""What timers start: scheduled backups and verifications, and who is told of them."""
