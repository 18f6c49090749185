"""The sandbox: a small but real hub in a directory, for trying, teaching and testing."""
