"""An upgrade guide for The Littlest JupyterHub that runs itself."""

__version__ = "0.1.0"
