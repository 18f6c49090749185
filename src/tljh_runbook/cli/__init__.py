"""The command ``tljh-runbook``: parse, call, print; nothing else."""

from __future__ import annotations

import click

from tljh_runbook import __version__
from tljh_runbook.cli import backup, password, restore, scheduled, snapshots, status, upgrade
from tljh_runbook.cli.ending import Commands


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="tljh-runbook", message="%(prog)s %(version)s")
def main() -> None:
    """Back up, upgrade and restore a hub of The Littlest JupyterHub, and prove that it held.

    Every command names its hub with --hub DIR; without it, it works on /opt/tljh. A value on the
    command line comes before the settings file, and the settings file before the defaults.
    """


for module in (upgrade, backup, snapshots, restore, status, password, scheduled):
    for command in module.COMMANDS:
        main.add_command(command)
