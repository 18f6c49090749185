"""What an upgrade did, as data and as a page."""
