"""What tells one edition of the plugin from another."""

TITLE = "Permissions"
