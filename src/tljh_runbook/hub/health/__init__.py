"""The hub's health, its address, and its configuration as loaded."""
