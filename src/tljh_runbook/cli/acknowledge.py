"""The command that says that missing home directories are gone on purpose."""

from __future__ import annotations

import click

from tljh_runbook import terminal
from tljh_runbook.cli.options import on_hub
from tljh_runbook.hub.context import Source
from tljh_runbook.hub.runs import lock
from tljh_runbook.hub.user_data import presence


@click.command()
@on_hub()
def acknowledge(source: Source, *, as_json: bool) -> None:
    """Acknowledge that home directories that held files before are gone on purpose.

    While one is empty, unmounted or unreadable, the scheduled backup fails and the check says NO.
    After this command they are no longer expected. Snapshots that hold them stay as they are.

    \b
    Example:
      tljh-runbook acknowledge
    """
    with lock.hold(source.hub, "the acknowledgement"):
        gone = presence.acknowledge(source)
    if as_json:
        terminal.data(gone)
    elif gone:
        for path, why in gone.items():
            terminal.line(f"{path} {why}: no longer expected")
    else:
        terminal.line("No home directory is missing.")


COMMANDS = (acknowledge,)
