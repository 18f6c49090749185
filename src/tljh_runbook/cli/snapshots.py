"""The commands that list and compare snapshots."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from tljh_runbook import show, terminal
from tljh_runbook.cli.options import on_hub, snapshot_names
from tljh_runbook.errors import SnapshotDamaged
from tljh_runbook.hub.context import Source
from tljh_runbook.hub.snapshots import difference, snapshot
from tljh_runbook.hub.snapshots.snapshot import Snapshot


@click.group(invoke_without_command=True)
@on_hub(whole=False)
def snapshots(source: Source, *, as_json: bool) -> None:
    """List the snapshots, oldest first.

    \b
    Examples:
      tljh-runbook snapshots --json
      tljh-runbook snapshots show 20260115T220000Z
      tljh-runbook snapshots diff 20260115T220000Z 20260116T220000Z
    """
    found = [read(path) for path in snapshot.listed(source.backups)]
    if as_json:
        terminal.data([about(each) for each in found])
    else:
        show.snapshots(found)


@snapshots.command(name="show")
@click.argument("name", metavar="[SNAPSHOT]", required=False, shell_complete=snapshot_names)
@on_hub(whole=False)
def show_(source: Source, name: str | None, *, as_json: bool) -> None:
    """Show what is in a snapshot, the newest by default.

    \b
    Example:
      tljh-runbook snapshots show 20260115T220000Z
    """
    found = snapshot.read(snapshot.find(source.backups, name))
    if as_json:
        terminal.data(about(found) | {"details": found.manifest.components})
    else:
        show.contents(found)


@snapshots.command()
@click.argument("older", shell_complete=snapshot_names)
@click.argument("newer", shell_complete=snapshot_names)
@on_hub(whole=False)
def diff(source: Source, older: str, newer: str, *, as_json: bool) -> None:
    """Show what differs between two snapshots.

    \b
    Example:
      tljh-runbook snapshots diff 20260115T220000Z 20260116T220000Z
    """
    kept = [snapshot.read(snapshot.find(source.backups, name)) for name in (older, newer)]
    found = difference.between(*(each.manifest for each in kept))
    if as_json:
        terminal.data([each.to_json() for each in found])
    elif found:
        terminal.table(["component", "", "what", older, newer], [each.row() for each in found])
    else:
        terminal.line("The two snapshots hold the same.")


@snapshots.command(name="fetch")
@click.argument("name", metavar="[SNAPSHOT]", required=False)
@on_hub(whole=False)
def fetch_(source: Source, name: str | None, *, as_json: bool) -> None:
    """Bring snapshots back from the repository of user data: one, or all that are there.

    Each snapshot that holds user data lies there as well: so a new server, with the old one's
    settings file and password, can restore everything.

    \b
    Example:
      tljh-runbook snapshots fetch
    """
    from tljh_runbook.hub.user_data import fetch  # noqa: PLC0415 - slow, and `status` imports us

    names: list[str | None] = [each.name for each in fetch.available(source)] if not name else []
    # Without any there is nothing there, and `bring` says so.
    found = [fetch.bring(source, each, terminal.progress) for each in names or [name]]
    if as_json:
        terminal.data([about(each) for each in found])
    else:
        show.snapshots(found)


def read(path: Path) -> Snapshot | SnapshotDamaged:
    """Return the snapshot, or why it cannot be read: a damaged one does not hide the others."""
    try:
        return snapshot.read(path)
    except SnapshotDamaged as error:
        return error


def about(found: Snapshot | SnapshotDamaged) -> dict[str, Any]:
    """Return what a script may know of a snapshot."""
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
        "notes": found.notes,
        "left_out": found.left_out,
    }


COMMANDS = (snapshots,)
