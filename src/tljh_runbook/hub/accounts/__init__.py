"""The accounts of the hub's users on its server."""
