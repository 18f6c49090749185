"""Backups: creating, restoring and removing snapshots."""
