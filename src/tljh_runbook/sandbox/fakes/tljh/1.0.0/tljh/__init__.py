"""A fake of The Littlest JupyterHub: as much of it as a hub in a folder needs."""

__version__ = "1.0.0"

traefik_version = "3.6.5"
