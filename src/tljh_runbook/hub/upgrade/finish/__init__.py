"""The end of an upgrade: commit, roll back, resume."""
