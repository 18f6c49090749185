"""The restic repository of users' files."""
