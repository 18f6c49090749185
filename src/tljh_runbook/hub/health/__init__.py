"""Whether the hub is healthy, where it answers, and its configuration as it loads."""
