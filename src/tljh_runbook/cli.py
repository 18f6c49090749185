"""The command ``tljh-runbook``: parse, call, print; nothing else."""

from __future__ import annotations

import functools
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import click

from tljh_runbook import __version__, show
from tljh_runbook.errors import AccessDenied, PromiseBroken, RunbookError, SnapshotDamaged
from tljh_runbook.hub import (
    capture,
    checks,
    components,
    health,
    journal,
    layout,
    services,
    settings,
    snapshot,
    upgrade,
    versions,
    worker,
)
from tljh_runbook.hub.snapshot import Snapshot
from tljh_runbook.hub.source import Source

INTERRUPTED = 130

HUB = click.option(
    "--hub",
    type=click.Path(path_type=Path),
    default=layout.DEFAULT_PREFIX,
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


def on_hub(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that name its hub, and errors that a person can read."""

    @functools.wraps(function)
    def run(
        hub: Path, file: Path | None, backups: str | None, *, as_json: bool, **rest: Any
    ) -> None:
        with told(as_json=as_json):
            function(_source(hub, file, backups), as_json=as_json, **rest)

    for option in (JSON, BACKUPS, SETTINGS, HUB):
        run = option(run)
    return run


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
        hint = "Run the same command as root, for example with sudo in front."
        fail(AccessDenied(denied, hint=hint), as_json=as_json)
    except KeyboardInterrupt:
        click.echo("\nInterrupted. Nothing half written was left.", err=True)
        sys.exit(INTERRUPTED)


def fail(error: RunbookError, *, as_json: bool) -> NoReturn:
    """Print an error and leave with its exit code."""
    if as_json:
        show.data({"error": error.to_json()})
    show.error(error.message, error.hint)
    sys.exit(error.code)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="tljh-runbook", message="%(prog)s %(version)s")
def main() -> None:
    """Back up and upgrade a hub of The Littlest JupyterHub, and prove that it held.

    Every command names its hub with --hub DIR; without it, it works on /opt/tljh. A value on the
    command line comes before the settings file, and the settings file before the defaults.
    """


@main.command()
@on_hub
def check(source: Source, *, as_json: bool) -> None:
    """Say every reason not to start an upgrade, each with its remedy. Changes nothing.

    \b
    Example:
      tljh-runbook check --hub /opt/tljh
    """
    findings = checks.run(source)
    if as_json:
        rows = [
            {"check": each.name, "ok": not each.error, "found": each.found, "warning": each.warning}
            for each in findings
        ]
        show.data(rows)
    else:
        show.findings(findings)
    for finding in findings:
        if finding.error:
            sys.exit(finding.error.code)


@main.command()
@click.argument("names", metavar="[COMPONENT]...", nargs=-1)
@on_hub
def backup(source: Source, names: tuple[str, ...], *, as_json: bool) -> None:
    """Make a snapshot of the hub while it runs: of all components, or of those named.

    \b
    Examples:
      tljh-runbook backup
      tljh-runbook backup database --hub /opt/tljh
    """
    made = capture.create(source, components.chosen(names), show.progress)
    if as_json:
        show.data(_about(made))
    else:
        show.snapshot(made)


@main.command()
@on_hub
def snapshots(source: Source, *, as_json: bool) -> None:
    """List the snapshots, oldest first.

    \b
    Example:
      tljh-runbook snapshots --json
    """
    found = [_read(path) for path in snapshot.listed(source.backups)]
    if as_json:
        show.data([_about(each) for each in found])
    else:
        show.snapshots(found)


@main.command()
@click.argument("name", metavar="[SNAPSHOT]", required=False)
@on_hub
def verify(source: Source, name: str | None, *, as_json: bool) -> None:
    """Read every byte of a snapshot, the newest by default, and compare it with its seal.

    \b
    Examples:
      tljh-runbook verify
      tljh-runbook verify 20260115T220000Z
    """
    found = snapshot.verify(snapshot.find(source.backups, name), show.progress)
    if as_json:
        show.data(_about(found))
    else:
        show.line(
            f"Snapshot {found.path.name} is whole: {len(found.manifest.files)} files, "
            f"{show.size(found.manifest.size)}, every byte as sealed."
        )


@main.command()
@on_hub
def status(source: Source, *, as_json: bool) -> None:
    """Show the hub, its versions, its newest snapshot and its last upgrade.

    \b
    Example:
      tljh-runbook status --hub /opt/tljh
    """
    seen = health.look(source.hub, source.services)
    found = versions.installed(source.hub)
    kept = snapshot.listed(source.backups)
    last = journal.state(source.hub)
    if as_json:
        values = {
            "hub": str(source.hub.prefix),
            "healthy": seen.healthy,
            "wrong": seen.wrong,
            "versions": found.to_json(),
            "snapshots": [path.name for path in kept],
            "upgrade": last,
        }
        show.data(values)
    else:
        show.status(source.hub, seen, found, _read(kept[-1]) if kept else None, last)


@main.command(name="upgrade")
@click.option("--detach", is_flag=True, help="Start it and return; status shows how it goes.")
@click.option("--worker", "working", is_flag=True, hidden=True)
@on_hub
def upgrade_(source: Source, *, detach: bool, working: bool, as_json: bool) -> None:
    """Upgrade TLJH and its plugins as the settings ask, and prove that the promises held.

    It goes on by itself, whatever becomes of this terminal. It needs a snapshot of the last hour,
    and does nothing at all when everything is as asked.

    \b
    Examples:
      tljh-runbook upgrade
      tljh-runbook upgrade --detach
    """
    if working:
        sys.exit(worker.run(source))
    program = str(Path(sys.argv[0]).absolute())
    try:
        worker.start(source.hub, [sys.executable, program, *sys.argv[1:], "--worker"])
        end = None if detach else worker.follow(source.hub, show.event if not as_json else _quiet)
    except KeyboardInterrupt:
        told = show.typed("An upgrade that has begun goes on. See how: tljh-runbook status")
        click.echo(f"\n{told}", err=True)
        sys.exit(INTERRUPTED)
    if end:
        _ended(end, as_json=as_json)
    elif as_json:
        show.data({"begun": True})
    else:
        show.line("The upgrade has begun. See how it goes: tljh-runbook status")


@main.command()
@on_hub
def prove(source: Source, *, as_json: bool) -> None:
    """Measure the promises now, and compare with what was measured before the last upgrade.

    \b
    Example:
      tljh-runbook prove --hub /opt/tljh
    """
    report = upgrade.prove(source)
    if as_json:
        show.data(report.to_json() if report else None)
    elif report:
        show.report(report.to_json())
    else:
        show.line("The last upgrade changed nothing, so there is nothing to prove.")
    try:
        upgrade.require_kept(report.verdicts if report else [])
    except PromiseBroken as error:
        fail(error, as_json=False)  # the report on standard output says it as data


def _quiet(event: dict[str, Any]) -> None:
    """Show nothing of an event."""


def _ended(end: dict[str, Any], *, as_json: bool) -> None:
    """Show how an upgrade ended; leave with its exit code."""
    if as_json:
        show.data(end)
    else:
        show.report(end["report"])
    if end["error"]:
        show.error(end["error"]["message"], end["error"]["hint"])
        sys.exit(end["code"])


def _source(prefix: Path, file: Path | None, backups: str | None) -> Source:
    hub = layout.find(prefix)
    found = settings.load(hub, file)
    if backups:
        found = replace(found, backups=str(Path(backups).absolute()))
    return Source(hub, found, services.of(hub, found))


def _read(path: Path) -> Snapshot | SnapshotDamaged:
    """Return the snapshot, or why it cannot be read: a damaged one does not hide the others."""
    try:
        return snapshot.read(path)
    except SnapshotDamaged as error:
        return error


def _about(found: Snapshot | SnapshotDamaged) -> dict[str, Any]:
    if isinstance(found, SnapshotDamaged):
        return {"error": found.to_json()}
    kept = found.manifest
    return {
        "id": kept.id,
        "path": str(found.path),
        "created": kept.created,
        "hub": kept.hub,
        "size": kept.size,
        "files": len(kept.files),
        "components": list(kept.components),
        "versions": kept.labels,
    }


if __name__ == "__main__":
    main()
