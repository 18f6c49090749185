"""Backups: snapshots are made, restored and removed."""
