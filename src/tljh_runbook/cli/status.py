"""The command that shows how a hub is, and the one that teaches a shell our commands."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from tljh_runbook import show, terminal
from tljh_runbook.cli import scheduled as shown
from tljh_runbook.cli.options import on_hub
from tljh_runbook.cli.snapshots import read
from tljh_runbook.hub.context import Source
from tljh_runbook.hub.health import health
from tljh_runbook.hub.runs import journal
from tljh_runbook.hub.schedule import scheduled
from tljh_runbook.hub.snapshots import snapshot
from tljh_runbook.hub.upgrade import confirmation, state_file
from tljh_runbook.hub.versions import interpreter, versions
from tljh_runbook.hub.versions.security import assessment


@click.command()
@on_hub()
def status(source: Source, *, as_json: bool) -> None:
    """Show the hub, its versions, its newest snapshot and its last upgrade.

    \b
    Example:
      tljh-runbook status --hub /opt/tljh
    """
    seen = health.look(source.hub, source.services)
    found = versions.installed(source.hub)
    kept = snapshot.listed(source.backups)
    last = journal.state(source.hub, "upgrade")
    runs = journal.runs(source.hub)
    left, waits = state_file.cut_off(source.hub), confirmation.read(source.hub)
    timed = scheduled.look(source)
    newest = read(kept[-1]) if kept else None
    security = assessment.of(source.hub)
    if as_json:
        values = {
            "hub": str(source.hub.prefix),
            "healthy": seen.healthy,
            "wrong": seen.wrong,
            "versions": found.to_json(),
            "security": security.to_json(),
            "snapshots": [path.name for path in kept],
            "upgrade": last,
            "confirm_until": waits.until if waits else None,
            "retained_newer": str(source.hub.newer) if source.hub.newer.exists() else None,
            "to_resume": left.phase if left else None,
            "runs": runs,
            "scheduled": {each.task: each.to_json() for each in timed},
        }
        terminal.data(values)
    else:
        told = show.last_upgrade(last, journal.rolled_back(source.hub))
        rows = found.rows() | {"security": security.words}
        show.status(source.hub, seen, rows, newest, told)
        shown.runs(timed)
        show.unended(runs, left)
        show.python_gone(interpreter.gone(source.hub))
        show.unconfirmed(waits)
        show.retained_newer(source.hub)


NAME = "tljh-runbook"
SHELLS = ("bash", "zsh", "fish")


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
def completion(shell: str) -> None:
    """Print what teaches a shell to complete our commands, options and snapshots.

    \b
    Example:
      tljh-runbook completion bash > /etc/bash_completion.d/tljh-runbook
    """
    made = get_completion_class(shell)
    if made:
        root = click.get_current_context().find_root().command
        click.echo(made(root, {}, NAME, f"_{NAME.upper().replace('-', '_')}_COMPLETE").source())


COMMANDS = (status, completion)
