"""Snapshots on disk, and the safe placement of what they hold."""
