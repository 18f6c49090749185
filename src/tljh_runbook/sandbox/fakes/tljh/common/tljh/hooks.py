"""Hooks that a plugin may implement: those of TLJH that this fake calls."""

import sys

import pluggy

hookspec = pluggy.HookspecMarker("tljh")
hookimpl = pluggy.HookimplMarker("tljh")


@hookspec
def tljh_extra_apt_packages():
    """Return a list of packages of the distribution."""


@hookspec
def tljh_extra_hub_pip_packages():
    """Return a list of requirements for the hub's environment."""


@hookspec
def tljh_custom_jupyterhub_config(c):
    """Change JupyterHub's configuration."""


@hookspec
def tljh_config_post_install(config):
    """Change the contents of config.yaml in place."""


@hookspec
def tljh_post_install():
    """Run last, after everything else."""


def plugins():
    """Return a plugin manager with all installed plugins."""
    manager = pluggy.PluginManager("tljh")
    manager.add_hookspecs(sys.modules[__name__])
    manager.load_setuptools_entrypoints("tljh")
    return manager
