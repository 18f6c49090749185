"""The commands that end an upgrade otherwise: roll it back, or bring one to its end."""

from __future__ import annotations

import sys
from functools import partial

import click

from tljh_runbook import show, terminal
from tljh_runbook.cli import run as runs
from tljh_runbook.cli.options import on_hub
from tljh_runbook.cli.run import detachable
from tljh_runbook.errors import NotConfirmed, ServicesUnreachable
from tljh_runbook.hub.context import Source
from tljh_runbook.hub.upgrade import confirmation, state_file
from tljh_runbook.hub.upgrade.finish import ending, recovery
from tljh_runbook.hub.upgrade.finish import rollback as going_back


@click.command()
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--dry-run", is_flag=True, help="Show what would change, and change nothing.")
@click.option("--unless-confirmed", "unconfirmed", default="", hidden=True)
@detachable
@on_hub()
def rollback(  # noqa: PLR0913 - each is an option that a person types
    source: Source,
    *,
    yes: bool,
    dry_run: bool,
    unconfirmed: str,
    detach: bool,
    run: str,
    as_json: bool,
) -> None:
    """Roll the last upgrade back: the previous version runs again, as long as it is retained.

    It says what would be lost, and asks. Users' servers run on. Databases are put back only where
    the upgrade had migrated them; the newer ones are kept.

    \b
    Examples:
      tljh-runbook rollback --dry-run
      tljh-runbook rollback --yes
    """
    if unconfirmed:
        _unless_confirmed(source, unconfirmed, run)
        return
    if not run:
        found = going_back.plan(source)
        if dry_run and as_json:
            terminal.data(found.to_json())
        elif not as_json:
            show.rolled_back(found)
        if dry_run:
            return
        if not yes:
            _confirm()
    runs.carry_out(source, "rollback", ending.roll_back, run, detach=detach, as_json=as_json)


def _unless_confirmed(source: Source, at: str, run: str) -> None:
    """Wait until the time of an upgrade is over, and begin to go back; or be what goes back."""
    if run:
        work = partial(ending.roll_back_unconfirmed, at=at)
        sys.exit(runs.work_apart(source, "rollback", work, run))
    confirmation.stand_by(source, at, partial(runs.start, source, "rollback"))


@click.command()
@on_hub()
def confirm(source: Source, *, as_json: bool) -> None:
    """Let an upgrade stay that would else be rolled back automatically.

    One that was started with --confirm-within, or with that setting, waits for it.

    \b
    Example:
      tljh-runbook confirm
    """
    kept = confirmation.confirm(source)
    if as_json:
        terminal.data({"confirmed": kept.at})
    else:
        terminal.line(f"The upgrade of {kept.at} stays.")


@click.command()
@click.option("--at-boot", is_flag=True, help="As a server does that starts: the files come first.")
@click.option("--after-kill", is_flag=True, hidden=True)
@detachable
@on_hub()
def resume(  # noqa: PLR0913 - each is an option that a person types
    source: Source, *, at_boot: bool, after_kill: bool, detach: bool, run: str, as_json: bool
) -> None:
    """Bring an upgrade that was cut off to its end: to the new version, or back to the old one.

    A kill, a reboot or a power cut can cut one off. The server does this automatically when it
    starts; it does nothing where no upgrade was cut off.

    \b
    Example:
      tljh-runbook resume
    """
    if after_kill:
        if recovery.needed(source):
            sys.exit(runs.work_apart(source, "upgrade", ending.bring_to_end, run))
        return
    if not run:
        left = state_file.read(source.hub)
        if left and at_boot:
            ending.go_back_at_boot(source)
        try:
            confirmation.watch(source)  # a reboot ends what waits
        except ServicesUnreachable:
            if left is None:  # else what was cut off comes first
                raise
        if left is None:
            state_file.relieve(source.hub)  # of a rollback that was killed before it began
            _say_nothing_left(source, as_json=as_json)
            return
    # The server waits for this command before it starts the hub, which the run waits for.
    detach = detach or at_boot
    runs.carry_out(source, "upgrade", ending.bring_to_end, run, detach=detach, as_json=as_json)


def _say_nothing_left(source: Source, *, as_json: bool) -> None:
    if as_json:
        terminal.data(None)
    else:
        terminal.line("No upgrade was cut off: there is nothing to bring to its end.")
        show.unconfirmed(confirmation.read(source.hub))


def _confirm() -> None:
    """Ask before the hub is stopped. Raises `NotConfirmed`."""
    if sys.stdin.isatty() and click.confirm("Go back now?", err=True):
        return
    raise NotConfirmed(
        "The upgrade was not rolled back, and nothing was changed: it was not confirmed.",
        hint="A script adds --yes. To see first what would change: tljh-runbook rollback --dry-run",
    )


COMMANDS = (rollback, confirm, resume)
