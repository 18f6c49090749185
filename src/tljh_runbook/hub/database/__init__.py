"""The hub's databases: where they are, what they hold, how they are copied."""
