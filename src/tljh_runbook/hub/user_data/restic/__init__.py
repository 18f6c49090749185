"""The restic repository that holds users' files."""
