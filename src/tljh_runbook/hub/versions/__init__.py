"""Versions of packages: what is installed, what an upgrade brings, and which are vulnerable."""
