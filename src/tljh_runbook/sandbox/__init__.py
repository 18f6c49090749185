"""A real small hub in a folder, for trying, teaching and testing."""
