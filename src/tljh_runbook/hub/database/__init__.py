"""The hub's databases: where they are, what they contain, and how they are copied."""
