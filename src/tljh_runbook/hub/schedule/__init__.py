"""What timers start: scheduled backups and verifications, and notifications about them."""
