"""What tells one edition of the plugin from another."""

TITLE = "Who may see which environment"
