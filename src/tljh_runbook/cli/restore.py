"""The command that gives a snapshot back."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import click

from tljh_runbook import show, terminal
from tljh_runbook.cli import run as runs
from tljh_runbook.cli.backup import component_names
from tljh_runbook.cli.options import INTERRUPTED, on_hub, snapshot_names
from tljh_runbook.cli.run import Teller, detachable
from tljh_runbook.errors import NotConfirmed
from tljh_runbook.hub.backup import choice, extraction
from tljh_runbook.hub.backup import restore as restoring
from tljh_runbook.hub.backup.choice import Choice, Request
from tljh_runbook.hub.backup.restore import Outcome
from tljh_runbook.hub.context import Source
from tljh_runbook.hub.runs import worker
from tljh_runbook.hub.runs.journal import Journal
from tljh_runbook.hub.snapshots import snapshot
from tljh_runbook.hub.snapshots.restoration import Restoration

STOPPED = (
    "Stopped. Users' files that had come back are in their place. What had been done while the hub "
    "was stopped was undone, unless TLJH was just being installed. The hub was started. To go "
    "on, type the same command again."
)


@click.command()
@click.argument("names", metavar="[COMPONENT]...", nargs=-1, shell_complete=component_names)
@click.option("--snapshot", "name", shell_complete=snapshot_names, help="Not the newest, but this.")
@click.option("--as-of", metavar="DATE", help="The newest until a day (2026-01-15) or moment.")
@click.option("--user", help="Only the home of this user of the hub.")
@click.option(
    "--path",
    "paths",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Only this file or folder, by its whole path; with --user also below the home.",
)
@click.option(
    "--into",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Write it into a new folder, to look at it first.",
)
@click.option("--dry-run", is_flag=True, help="Show what would change, and change nothing.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@detachable
@on_hub(whole=False)
def restore(  # noqa: PLR0913 - each is an option that a person types
    source: Source,
    *,
    names: tuple[str, ...],
    name: str | None,
    as_of: str | None,
    user: str | None,
    paths: tuple[Path, ...],
    into: Path | None,
    dry_run: bool,
    yes: bool,
    detach: bool,
    run: str,
    as_json: bool,
) -> None:
    """Restore the hub's state, single components, a user's home, or one file, as it was.

    Without a component all are restored; of users' files then only those that are missing, and
    what users have changed since is left alone. The hub is stopped for a moment; users' servers
    keep running. They keep answering, unless a file of the proxy is restored. What is replaced is
    kept.

    \b
    Examples:
      tljh-runbook restore --dry-run
      tljh-runbook restore database --snapshot 20260115T220000Z
      tljh-runbook restore --user alice --path lesson.ipynb --as-of 2026-01-15
      tljh-runbook restore config --into /root/look
      tljh-runbook restore --yes --detach
    """
    request = Request(names, user, paths, name, _moment(as_of))
    _refuse_doubt(request, as_of, looks=dry_run, writes=into is not None, leaves=detach)
    if run:
        sys.exit(worker.run(source.hub, "restore", partial(_work, source, request), run))
    chosen = choice.choose(source, request)
    if detach:
        _require_yes(yes=yes)
        runs.begin(source, "restore", as_json=as_json)
        return
    tell = Teller()
    restoration = _restoration(source, request, chosen, tell)
    if into:
        written = extraction.extract(restoration, chosen.components, into.absolute())
        _say_written(written, into, as_json=as_json)
    else:
        _give_back(restoration, chosen, tell, dry_run=dry_run, yes=yes, as_json=as_json)


def _restoration(source: Source, request: Request, chosen: Choice, tell: Teller) -> Restoration:
    return Restoration(
        source,
        snapshot.verify(chosen.kept.path, tell.line),
        tell.line,
        paths=chosen.paths,
        missing_only=request.everything,
        typed=_typed(chosen, request.components),
        begin=tell.phase,
    )


def _work(source: Source, request: Request, log: Journal) -> None:
    """Restore what was asked for, as a run that nobody is asked about."""
    chosen, tell = choice.choose(source, request), Teller(log)
    log.phase(f"Read the snapshot {chosen.kept.path.name}")
    restoration = _restoration(source, request, chosen, tell)
    log.phase("Compare with it what is there")
    actions = restoring.plan(restoration, chosen.components)
    for note in restoration.notes:
        log.line(note)
    log.report = _report(restoring.give_back(restoration, actions))


def _report(outcome: Outcome) -> dict[str, Any]:
    return outcome.to_json() | {"changed": bool(outcome.actions) or outcome.restarted}


def _give_back(  # noqa: PLR0913 - each is an option that a person types
    restoration: Restoration,
    chosen: Choice,
    tell: Teller,
    *,
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> None:
    actions = restoring.plan(restoration, chosen.components)
    if not as_json:
        show.planned(restoration, actions)
    for note in restoration.notes:
        terminal.warning(note)
    if dry_run:
        if as_json:
            terminal.data({"changes": [restoring.told(each) for each in actions]})
        return
    if actions and not yes:
        _confirm()
    done: list[Outcome] = []

    def work(log: Journal) -> None:
        tell.log = log
        done.append(restoring.give_back(restoration, actions))
        log.report = _report(done[0])

    try:
        worker.record(restoration.source.hub, "restore", work)
    except KeyboardInterrupt:
        click.echo(f"\n{STOPPED}", err=True)
        sys.exit(INTERRUPTED)
    if as_json:
        terminal.data(done[0].to_json())
    else:
        show.restored(done[0].to_json())


def _refuse_doubt(
    request: Request, as_of: str | None, *, looks: bool, writes: bool, leaves: bool
) -> None:
    """Refuse what contradicts itself, and empty words: they come from an unset variable."""
    words = [request.user, request.snapshot, as_of, *request.components]
    doubts = {
        "an empty value": "" in words or Path() in request.paths,
        "both --snapshot and --as-of": bool(request.snapshot and as_of),
        "a component besides --user or --path": bool(
            request.components and (request.user or request.paths)
        ),
        "both --into and --dry-run": looks and writes,
        "--detach besides --into or --dry-run": leaves and (looks or writes),
    }
    for doubt, holds in doubts.items():
        if holds:
            raise click.UsageError(f"There is {doubt}: what is meant? Nothing was changed.")


def _typed(chosen: Choice, names: Sequence[str]) -> str:
    """Return what is typed to restore the same again."""
    paths = [word for path in chosen.paths for word in ("--path", str(path))]
    return shlex.join(["restore", *names, "--snapshot", chosen.kept.path.name, *paths])


def _confirm() -> None:
    """Ask before anything is overwritten. Raises `NotConfirmed`."""
    if sys.stdin.isatty() and click.confirm("Restore this now?", err=True):
        return
    raise NotConfirmed(
        "Nothing was restored, and nothing was changed: it was not confirmed.",
        hint="A script adds --yes. To look at it first: --into DIR",
    )


def _require_yes(*, yes: bool) -> None:
    """Raise `NotConfirmed` where a run would ask that nobody sees."""
    if not yes:
        raise NotConfirmed(
            "Nothing was restored, and nothing was changed: with --detach nobody can be asked.",
            hint=(
                "See what would change: tljh-runbook restore --dry-run",
                "Then type the command with --yes.",
            ),
        )


def _say_written(written: list[Path], into: Path, *, as_json: bool) -> None:
    if as_json:
        terminal.data({"written": [str(path) for path in written]})
    else:
        terminal.line(f"What was kept is in {into} now. Nothing else was changed.")


def _moment(text: str | None) -> float | None:
    try:
        return choice.moment(text) if text else None
    except ValueError as error:
        raise click.BadParameter(
            f"{text!r} is no day such as 2026-01-15, and no moment such as '2026-01-15 22:00'.",
            param_hint="--as-of",
        ) from error


COMMANDS = (restore,)
