"""What a playbook shows while it runs, and writes down: the parts of our Ansible callback."""
