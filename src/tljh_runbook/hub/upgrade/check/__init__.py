"""The check before an upgrade: every reason not to start it."""
