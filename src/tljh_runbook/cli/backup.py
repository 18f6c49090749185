"""The commands that make, verify and remove snapshots."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial

import click

from tljh_runbook import show, terminal
from tljh_runbook.cli import run as runs
from tljh_runbook.cli.options import on_hub, snapshot_names
from tljh_runbook.cli.run import detachable
from tljh_runbook.cli.snapshots import about
from tljh_runbook.hub.backup import capture, choice, components, retention
from tljh_runbook.hub.backup.components import Component
from tljh_runbook.hub.context import Source
from tljh_runbook.hub.runs import worker
from tljh_runbook.hub.runs.journal import Journal
from tljh_runbook.hub.snapshots import snapshot
from tljh_runbook.hub.snapshots.snapshot import Snapshot
from tljh_runbook.hub.upgrade import state_file
from tljh_runbook.hub.user_data import user_files


def component_names(*_: object) -> list[str]:
    """Return the components, for the shell's completion."""
    return [component.name for component in components.every()]


@click.command()
@click.argument("names", metavar="[COMPONENT]...", nargs=-1, shell_complete=component_names)
@detachable
@on_hub()
def backup(
    source: Source, names: tuple[str, ...], *, detach: bool, run: str, as_json: bool
) -> None:
    """Make a snapshot of the hub while it runs: of all components, or of those named.

    With --detach it goes on automatically, whatever becomes of this terminal.

    \b
    Examples:
      tljh-runbook backup
      tljh-runbook backup database --hub /opt/tljh
      tljh-runbook backup --detach
    """
    chosen = components.chosen(names)
    if run:
        sys.exit(worker.run(source.hub, "backup", partial(_work, source, chosen, []), run))
    if detach:
        runs.begin(source, "backup", as_json=as_json)
        return
    made = recorded(source, chosen)
    if as_json:
        terminal.data(about(made))
    else:
        show.snapshot(made)


def recorded(source: Source, chosen: Sequence[Component]) -> Snapshot:
    """Make a snapshot here and now, as a run with a journal; return it."""
    made: list[Snapshot] = []
    worker.record(source.hub, "backup", partial(_work, source, chosen, made))
    return made[0]


def _work(source: Source, chosen: Sequence[Component], made: list[Snapshot], log: Journal) -> None:
    """Make a snapshot, and put it into ``made``."""
    tell = runs.Teller(log)
    made.append(capture.make(source, chosen, tell.line, tell.phase))
    log.report = about(made[0]) | {"changed": True}


@click.command()
@click.argument("name", metavar="[SNAPSHOT]", required=False, shell_complete=snapshot_names)
@click.option("--full", is_flag=True, help="Read all of the users' files in their repository, too.")
@click.option(
    "--sample",
    type=click.IntRange(1, 99),
    metavar="PERCENT",
    help="Read only so much of everything, chosen by chance.",
)
@on_hub(whole=False)
def verify(
    source: Source, name: str | None, *, full: bool, sample: int | None, as_json: bool
) -> None:
    """Read every byte of a snapshot, the newest by default, and compare it with its seal.

    Of the users' files, which lie in a repository of their own, the repository's structure is
    checked; with --full every byte of them is read, which may take hours.

    \b
    Examples:
      tljh-runbook verify
      tljh-runbook verify 20260115T220000Z --full
      tljh-runbook verify --sample 5
    """
    path = snapshot.find(source.backups, name)
    found = snapshot.verify(path, terminal.progress, (sample or 100) / 100)
    kept = found.manifest.components.get(choice.USER_DATA, {})
    checked = user_files.verify(source, kept, _share(sample, full=full))
    if as_json:
        terminal.data(about(found) | {"user_data": checked})
    else:
        show.verified(found, sample, checked)


def _share(sample: int | None, *, full: bool) -> str | None:
    """Return how much of the users' files is read, as restic is told it."""
    if sample:
        return f"{sample}%"
    return "100%" if full else None


@click.command()
@click.option("--dry-run", is_flag=True, help="Say what would be removed, and remove nothing.")
@on_hub(whole=False)
def prune(source: Source, *, dry_run: bool, as_json: bool) -> None:
    """Remove old snapshots as the settings `keep` say, and the user data that only they need.

    Never the newest one that is whole, and never one that an upgrade may need for going back.

    \b
    Example:
      tljh-runbook prune --dry-run
    """
    needed = state_file.needed_snapshots(source.hub)
    judged = retention.judge(source, needed, terminal.progress)
    if not dry_run:
        retention.remove(source, judged, terminal.progress)
    if as_json:
        terminal.data([each.to_json() for each in judged])
    else:
        show.pruned(judged, dry_run=dry_run)


COMMANDS = (backup, verify, prune)
