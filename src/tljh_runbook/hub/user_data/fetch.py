"""Fetching a snapshot from the repository, for example to a new server."""

from __future__ import annotations

import shutil
from pathlib import Path

from tljh_runbook.errors import SnapshotMissing
from tljh_runbook.hub.context import Source
from tljh_runbook.hub.core import files
from tljh_runbook.hub.runs import lock
from tljh_runbook.hub.snapshots import draft, snapshot
from tljh_runbook.hub.snapshots.snapshot import Say, Snapshot
from tljh_runbook.hub.user_data import replicas
from tljh_runbook.hub.user_data.replicas import Riding
from tljh_runbook.hub.user_data.restic import repository, tree
from tljh_runbook.hub.user_data.restic.restic import Repository


def available(source: Source) -> list[Riding]:
    """Return the replicated snapshots, oldest first. Does not create a repository."""
    return replicas.listed(repository.opened(source))


def bring(source: Source, name: str | None = None, say: Say = lambda _: None) -> Snapshot:
    """Fetch the snapshot ``name``, by default the newest, into the snapshot folder.

    It is verified before it is moved there; one that already exists is verified and left as it is.
    Raises `SnapshotMissing`, `SnapshotDamaged`, `Busy` and what `repository.opened` raises.
    """
    with (
        files.disk_errors(source.backups, "No snapshot was fetched."),
        lock.hold(source.hub, "fetching a snapshot"),
    ):
        opened = repository.opened(source)
        found = _chosen(replicas.listed(opened), name, opened)
        place = source.backups / found.name
        if not place.exists():
            say(f"Fetching {found.name}")
            _fetch(source, opened, found, place)
    return snapshot.verify(place, say)


def _chosen(riding: list[Riding], name: str | None, opened: Repository) -> Riding:
    if not riding:
        raise SnapshotMissing(
            f"No snapshot of {opened.name} rides in the repository {opened.masked}.",
            hint="Make one: tljh-runbook backup",
        )
    known = {each.name: each for each in riding}
    if name is not None and name not in known:
        raise SnapshotMissing(
            f"There is no snapshot {name!r} of {opened.name} in the repository {opened.masked}.",
            hint=f"The newest there is {riding[-1].name}.",
        )
    return riding[-1] if name is None else known[name]


def _fetch(source: Source, opened: Repository, found: Riding, place: Path) -> None:
    files.make_private(source.backups)
    draft.forget_partial(source)
    target = draft.partial_place(source, found.name)
    try:
        tree.restore(opened, found.id, [found.path], target)
        # restic restores the full original path, which may differ on this server.
        inside = target / found.path.lstrip("/")
        snapshot.verify(inside)
        draft.bring_to_disk(inside)
        inside.rename(place)
        files.sync_folder(source.backups)
    finally:
        shutil.rmtree(target, ignore_errors=True)
