"""Making a snapshot: capture, checksum and verify every component, or leave nothing behind."""

from __future__ import annotations

import hashlib
import os
import shutil
import socket
import time
from collections.abc import Iterable
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from tljh_runbook import __version__
from tljh_runbook.errors import NoSpace
from tljh_runbook.hub.backup import restore_notes, size_check
from tljh_runbook.hub.backup.components import Component
from tljh_runbook.hub.context import Source
from tljh_runbook.hub.core import files
from tljh_runbook.hub.runs import lock
from tljh_runbook.hub.snapshots import draft, manifest, sequence, snapshot
from tljh_runbook.hub.snapshots.draft import Folder, Say
from tljh_runbook.hub.snapshots.manifest import Manifest
from tljh_runbook.hub.snapshots.snapshot import Snapshot
from tljh_runbook.hub.user_data import replicas
from tljh_runbook.hub.versions import versions

if TYPE_CHECKING:
    from collections.abc import Iterator

RESERVE = 16 << 20  # bytes that a snapshot always leaves free on the disk


def create(source: Source, components: Iterable[Component], say: Say = lambda _: None) -> Snapshot:
    """Make a snapshot while holding the hub's lock.

    Raises `Busy` and what `make` raises.
    """
    with (
        files.disk_errors(source.backups, "No snapshot was made.", source.hub.work),
        lock.hold(source.hub, "the backup"),
    ):
        return make(source, components, say)


def make(
    source: Source,
    components: Iterable[Component],
    say: Say = lambda _: None,
    begin: Say | None = None,
) -> Snapshot:
    """Capture ``components`` while the hub runs, checksum and verify them; return the snapshot.

    The caller holds the hub's lock. ``begin`` is called when a phase starts, ``say`` with its
    progress. A failure leaves no snapshot and no partial files.
    Raises `NoSpace`, `AccessDenied` and what a component raises.
    """
    wanted = tuple(components)
    backups, begin = source.backups, begin or say
    with files.disk_errors(backups, "No snapshot was made.", source.hub.work):
        files.make_private(backups)
        draft.forget_partial(source)
        _enough_space(backups, sum(component.size(source) for component in wanted))
        with _partial(source) as (partial, name):
            _fill((partial, name), source, wanted, say, begin)
            draft.bring_to_disk(partial)
            partial.rename(backups / name)
        files.sync_folder(backups)
        sequence.record(source.hub.work, snapshot.sequence(backups / name) or 0)
    begin("Read it back")
    made = replicas.ride(source, snapshot.verify(backups / name), begin)
    return replace(made, note=" ".join(filter(None, (size_check.told(source, made), made.note))))


def _fill(
    place: tuple[Path, str],
    source: Source,
    components: tuple[Component, ...],
    say: Say,
    begin: Say,
) -> None:
    partial, name = place
    folders, details = [], {}
    for component in components:
        begin(component.title)
        alone = len(components) == 1
        folder = Folder(partial, component.name, source.hub, name, alone, say)
        details[component.name] = component.capture(source, folder)
        if folder.unread:
            details[component.name]["unread"] = folder.unread
        folders.append(folder)
    found = versions.installed(source.hub)
    entries = sorted((entry for each in folders for entry in each.entries), key=lambda e: e.path)
    sealed = Manifest(
        id=name,
        created=time.strftime(manifest.CREATED, time.gmtime()),
        hub=str(source.hub.prefix),
        host=socket.gethostname(),
        tool=__version__,
        versions=found.to_json(),
        labels=found.rows(),
        components=details,
        files=tuple(entries),
        notes_sha256="",
        sequence=sequence.following(source),
    )
    _seal(partial, sealed, components, source)


def _seal(
    partial: Path, draft: Manifest, components: tuple[Component, ...], source: Source
) -> None:
    notes = os.fsencode(restore_notes.render(draft, components, source.services))
    sealed = Manifest(**{**vars(draft), "notes_sha256": hashlib.sha256(notes).hexdigest()})
    data = sealed.to_bytes()
    sums = manifest.sums(manifest.sealed(sealed, hashlib.sha256(data).hexdigest()))
    files.write_new(partial / manifest.NOTES, notes)
    files.write_new(partial / manifest.SUMS, sums)
    files.write_new(partial / manifest.NAME, data)


@contextmanager
def _partial(source: Source) -> Iterator[tuple[Path, str]]:
    name = _free_name(source.backups)
    partial = draft.partial_place(source, name)
    partial.mkdir(mode=0o700)
    try:
        yield partial, name
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise


def _free_name(backups: Path) -> str:
    moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    number, name = 1, moment
    while (backups / name).exists():
        number += 1
        name = f"{moment}-{number}"
    return name


def _enough_space(backups: Path, needed: int) -> None:
    free = shutil.disk_usage(backups).free
    if free < needed + RESERVE:
        raise NoSpace(
            f"The disk that holds {backups} has {free >> 20} MB free; the snapshot needs about "
            f"{(needed + RESERVE) >> 20} MB. No snapshot was made.",
            hint="Free some room, or set `backups` in the settings file to a larger disk.",
        )
