"""The finish of an upgrade: commit, roll back, resume."""
