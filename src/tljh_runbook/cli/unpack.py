"""The command with which the one file makes itself at home on a server."""

from __future__ import annotations

from pathlib import Path

import click

from tljh_runbook import program, terminal
from tljh_runbook.cli.options import JSON, told
from tljh_runbook.hub.tool import unpacked


@click.command()
@click.option("--dry-run", is_flag=True, help="Say what would change, and change nothing.")
@click.option("--root", type=click.Path(path_type=Path), default="/", hidden=True)
@JSON
def unpack(root: Path, *, dry_run: bool, as_json: bool) -> None:
    """Install the file tljh-runbook.pyz on this server, for daily use and for rescue.

    It copies itself to /usr/local/lib/tljh-runbook, unpacks and compiles itself there, and then
    `tljh-runbook` is a command of its own. When all of that is done already it changes nothing.

    \b
    Example:
      sudo python3 tljh-runbook.pyz unpack
      tljh-runbook unpack --dry-run
    """
    with told(as_json=as_json):
        bundle, place = unpacked.running(), unpacked.Place(root.absolute())
        work = unpacked.changes if dry_run else unpacked.carry_out
        found = [change.what for change in work(bundle, place)]
        folder = str(place.home / bundle.build)
    if as_json:
        about = {"changed": bool(found), "build": bundle.build, "folder": folder, "changes": found}
        terminal.data(about)
    elif found:
        terminal.line("Would be changed:" if dry_run else "Changed:")
        for each in found:
            terminal.line(f"  {each}")
    else:
        terminal.line(f"tljh-runbook {program.version()} is unpacked. Nothing was changed.")


COMMANDS = (unpack,)
