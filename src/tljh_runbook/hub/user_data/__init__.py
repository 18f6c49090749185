"""Backup of users' files to a restic repository, and their restore."""
