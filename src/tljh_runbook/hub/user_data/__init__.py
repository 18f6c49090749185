"""Users' files, kept in a restic repository and given back."""
