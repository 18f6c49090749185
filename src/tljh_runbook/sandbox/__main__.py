"""The command line: ``python -m tljh_runbook.sandbox up|status|down DIR``."""

from __future__ import annotations

import json
import shlex
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from tljh_runbook import hints
from tljh_runbook.errors import RunbookError, SandboxFailed
from tljh_runbook.sandbox import build, processes, record, servers, supervisor
from tljh_runbook.sandbox.layout import Layout, layout
from tljh_runbook.sandbox.progress import Progress

FOLDER = click.argument("folder", metavar="DIR", type=click.Path(path_type=Path, file_okay=False))


@click.group()
def main() -> None:
    """Build a real small hub in a folder, for trying, teaching and testing."""


@main.command()
@FOLDER
@click.option("--take-down", metavar="TEXT", help="What to type to take it down, as printed.")
def up(folder: Path, take_down: str | None) -> None:
    """Build the sandbox in DIR and start it; one that is there is used again."""
    with told():
        place = layout(folder)
        command = take_down or f"python -m tljh_runbook.sandbox down {shlex.quote(str(folder))}"
        place.root.mkdir(parents=True, exist_ok=True)
        with record.locked(place), undone(place, command):
            known = build.up(place, Progress())
        click.echo(summary(place, known, command))


def summary(place: Layout, known: record.Record, take_down: str) -> str:
    first, *others = known.users
    return f"""\
The sandbox is up.
  address   {known.address}
  login     {first} / {known.password}   ({" and ".join(others)} too)
  folder    {place.root}
  take down {take_down}"""


@main.command()
@FOLDER
@click.option("--json", "as_json", is_flag=True, help="Print it for a program.")
def status(folder: Path, as_json: bool) -> None:
    """Say what of the sandbox in DIR is there and runs."""
    with told():
        report = survey(layout(folder))
        lines = [f"{name:<10}{_text(value)}" for name, value in report.items()]
        click.echo(json.dumps(report, indent=2) if as_json else "\n".join(lines))


def survey(place: Layout) -> dict[str, object]:
    """Return the state of a sandbox: absent, unfinished, stopped or up."""
    known = record.read(place) if place.marker.exists() else None
    if known is None:
        state = "unfinished" if place.marker.exists() else "absent"
        return {"state": state, "folder": str(place.root)}
    services = supervisor.processes(place)
    healthy = servers.answers(f"{known.address}/hub/health")
    return {
        "state": "up" if healthy else "stopped",
        "folder": str(place.root),
        "address": known.address,
        "users": known.users,
        "password": known.password,
        "services": services,
        "servers": servers.process_ids(place, known),
    }


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


@main.command()
@FOLDER
def down(folder: Path) -> None:
    """Stop the sandbox in DIR and remove the folder."""
    with told():
        place = layout(folder)
        if not place.root.exists():
            click.echo(f"There is no sandbox in {place.root}.")
            return
        if not place.marker.exists():
            raise SandboxFailed(
                f"{place.root} is not a sandbox. Nothing was changed.",
                hint="Name the folder that was given to the command up.",
            )
        with record.locked(place):
            build.down(place)
        click.echo("The sandbox is gone.")


@contextmanager
def told() -> Iterator[None]:
    """Print errors as a message and a hint, and exit with their code."""
    try:
        yield
    except RunbookError as error:
        click.echo(hints.text(error.message, error.hint), err=True)
        sys.exit(error.code)
    except OSError as error:
        click.echo(f"error: The system refused: {error}", err=True)
        click.echo("hint: Is the disk full, or does the folder belong to somebody else?", err=True)
        sys.exit(SandboxFailed.code)


@contextmanager
def undone(place: Layout, take_down: str) -> Iterator[None]:
    """On an error or Ctrl-C, end the started processes; the files stay, because of the logs.

    A complete sandbox that was already running is left as it is: its users may be working.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    ran = place.record.exists() and bool(supervisor.processes(place))
    try:
        yield
    except KeyboardInterrupt:
        if not ran:
            processes.end_all(place)
        left = "It runs on" if ran else f"Nothing of it runs; its files are still in {place.root}"
        click.echo(f"\nStopped. {left}.", err=True)
        click.echo(f"hint: the same command goes on; to remove it: {take_down}", err=True)
        sys.exit(130)
    except Exception:
        if not ran:
            processes.end_all(place)
        raise


if __name__ == "__main__":
    main(prog_name="python -m tljh_runbook.sandbox")
