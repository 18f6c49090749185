"""What all commands have in common: the hub they work on, and how they end."""

from __future__ import annotations

import functools
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import click
from click.core import ParameterSource

from tljh_runbook import terminal
from tljh_runbook.errors import AccessDenied, RunbookError
from tljh_runbook.hub.context import Source
from tljh_runbook.hub.core import layout, settings
from tljh_runbook.hub.snapshots import snapshot
from tljh_runbook.hub.system import services

INTERRUPTED = 130

HUB = click.option(
    "--hub",
    type=click.Path(path_type=Path),
    default=str(layout.DEFAULT_PREFIX),  # as text: the reference shows it as it is
    show_default=True,
    metavar="DIR",
    help="The folder that TLJH is installed in.",
)
SETTINGS = click.option(
    "--settings",
    "file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The settings file, instead of etc/tljh-runbook.yaml on the hub's server.",
)
BACKUPS = click.option(
    "--backups", metavar="DIR", help="The folder that holds the snapshots, instead of the setting."
)
JSON = click.option("--json", "as_json", is_flag=True, help="Print data for a script.")


def on_hub(*, whole: bool = True) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command the options that name its hub, and errors that a person can read.

    Without ``whole`` the hub may be in ruins: there is something to restore then.
    """

    def decorate(function: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(function)
        def run(
            hub: Path, file: Path | None, backups: str | None, *, as_json: bool, **rest: Any
        ) -> None:
            context = click.get_current_context()
            if context.invoked_subcommand:  # that one finds the hub, as it was named here
                return
            hub, file, backups = (
                _inherited(context, name, value)
                for name, value in (("hub", hub), ("file", file), ("backups", backups))
            )
            with told(as_json=as_json):
                found = source(layout.find(hub) if whole else layout.remains(hub), file, backups)
                with _interruptible(found):
                    function(found, as_json=as_json, **rest)

        for option in (JSON, BACKUPS, SETTINGS, HUB):
            run = option(run)
        return run

    return decorate


@contextmanager
def _interruptible(source: Source) -> Iterator[None]:
    """Let an interruption name the snapshots that were made before it came."""
    before = _snapshots(source)
    try:
        yield
    except KeyboardInterrupt:
        made = sorted(_snapshots(source) - before)
        if not made:
            raise
        names = ", ".join(made)
        raise KeyboardInterrupt(f"A new snapshot was finished before: {names}.") from None


def _snapshots(source: Source) -> set[str]:
    with suppress(OSError):  # the command itself says what cannot be read
        return {path.name for path in snapshot.listed(source.backups)}
    return set()


def _inherited(context: click.Context, name: str, value: Any) -> Any:
    """Return an option's value, or what was typed before the name of a subcommand."""
    typed = context.get_parameter_source(name) is not ParameterSource.DEFAULT
    above = context.parent.params.get(name) if context.parent else None
    return value if typed or above is None else above


@contextmanager
def told(*, as_json: bool) -> Iterator[None]:
    """Turn errors and interruptions into a message and an exit code."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    try:
        yield
    except RunbookError as error:
        fail(error, as_json=as_json)
    except PermissionError as error:
        denied = f"{error.filename}: {error.strerror}. Nothing was changed."
        hint = "Run the same command as root (sudo)."
        fail(AccessDenied(denied, hint=hint), as_json=as_json)
    except KeyboardInterrupt as interrupted:
        state = str(interrupted) or "Nothing half written was left."
        click.echo(f"\nInterrupted. {state}", err=True)
        sys.exit(INTERRUPTED)


def fail(error: RunbookError, *, as_json: bool) -> NoReturn:
    """Print an error and leave with its exit code."""
    if as_json:
        terminal.data({"error": error.to_json()})
    terminal.error(error.message, error.hint)
    sys.exit(error.code)


def source(hub: layout.Hub, file: Path | None, backups: str | None) -> Source:
    """Return the hub with its settings; a folder of snapshots that was typed comes first."""
    found = settings.load(hub, file)
    if backups:
        found = replace(found, backups=str(Path(backups).absolute()))
    return Source(hub, found, services.of(hub, found), file)


def snapshot_names(context: click.Context, _: click.Parameter, begun: str) -> list[str]:
    """Return the snapshots whose names begin so, for the shell's completion."""
    try:
        hub = layout.remains(context.params.get("hub") or layout.DEFAULT_PREFIX)
        found = source(hub, context.params.get("file"), context.params.get("backups"))
        return [path.name for path in snapshot.listed(found.backups) if path.name.startswith(begun)]
    except (RunbookError, OSError):  # nothing to offer, and no place to say why
        return []
