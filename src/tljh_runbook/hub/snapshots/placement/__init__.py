"""Placement of restored files, safe even if users interfere."""
