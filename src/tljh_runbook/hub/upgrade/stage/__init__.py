"""Staging: copies of the hub, beside it, in which the new version is installed."""
