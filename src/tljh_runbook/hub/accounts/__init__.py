"""The hub users' accounts on the server."""
