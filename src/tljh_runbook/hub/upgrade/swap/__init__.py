"""The swap of the live version for the prepared one, and its rollback."""
