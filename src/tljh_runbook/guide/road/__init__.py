"""The Ansible output: the parts of our callback plugin, for the terminal and the log."""
