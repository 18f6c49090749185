"""The pre-upgrade check: every reason not to start an upgrade."""
