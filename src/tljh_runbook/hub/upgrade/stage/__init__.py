"""Copies of a hub beside it, in which the new version is installed."""
