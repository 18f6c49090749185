"""Snapshots on disk, and how their contents are restored safely."""
