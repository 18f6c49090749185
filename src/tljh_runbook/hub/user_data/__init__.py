"""Users' files, kept in a restic repository and restored."""
