"""The command ``tljh-runbook``: parse, call, print; nothing else."""

from __future__ import annotations

import os

import click

from tljh_runbook import program
from tljh_runbook.cli.ending import Commands
from tljh_runbook.cli.lazy import Lazy

PUBLIC = 0o022
MODULES = {
    "upgrade": ("check", "rehearse", "upgrade", "prove"),
    "rollback": ("rollback", "confirm", "resume"),
    "backup": ("backup", "verify", "prune"),
    "snapshots": ("snapshots",),
    "restore": ("restore",),
    "progress": ("progress",),
    "status": ("status", "completion"),
    "password": ("password",),
    "security": ("security",),
    "acknowledge": ("acknowledge",),
    "scheduled": ("scheduled", "notice"),
    "unpack": ("unpack",),
}


@click.group(
    cls=Commands,
    commands=Lazy(MODULES),
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(program.version(), prog_name="tljh-runbook", message="%(prog)s %(version)s")
def main() -> None:
    """Back up, upgrade and restore a hub of The Littlest JupyterHub, and prove that it held.

    Every command names its hub with --hub DIR; without it, it works on /opt/tljh. A value on the
    command line comes before the settings file, and the settings file before the defaults.
    """
    # Of whoever typed it, a stricter one would reach the hub's environments: its users run them.
    # What is secret is made with a mode of its own.
    os.umask(PUBLIC)
