"""The command that shows how a run goes."""

from __future__ import annotations

import click

from tljh_runbook import terminal
from tljh_runbook.cli import run as runs
from tljh_runbook.cli.options import on_hub
from tljh_runbook.hub.context import Source
from tljh_runbook.hub.runs import journal


@click.command()
@click.argument("task", type=click.Choice(journal.TASKS))
@on_hub(whole=False)
def progress(source: Source, task: str, *, as_json: bool) -> None:
    """Show what the last run of a task does, until its end, or how it ended.

    The tasks are backup, rehearse, upgrade, rollback and restore; resume goes on with an upgrade.
    It leaves with the exit code of what it shows. Ctrl-C ends the showing alone. With --json it
    prints how it stands now, and leaves with 0.

    \b
    Examples:
      tljh-runbook progress upgrade
      tljh-runbook progress backup --json
    """
    state = journal.state(source.hub, task)
    if as_json:
        terminal.data(state)
    elif state["events"]:
        runs.follow(source, task, as_json=False)
    else:
        terminal.line(f"There was no {journal.NAMES[task]} yet.")


COMMANDS = (progress,)
