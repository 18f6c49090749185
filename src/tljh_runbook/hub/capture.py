"""Making a snapshot: every component captured, checked and sealed, or nothing at all."""

from __future__ import annotations

import hashlib
import os
import shutil
import socket
import time
from collections.abc import Callable, Iterable
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from tljh_runbook import __version__
from tljh_runbook.errors import NoSpace
from tljh_runbook.hub import (
    files,
    lock,
    manifest,
    manifest_checks,
    restore_notes,
    sequence,
    shrinkage,
    snapshot,
    versions,
)
from tljh_runbook.hub.components import Component
from tljh_runbook.hub.layout import Hub
from tljh_runbook.hub.manifest import Entry, Manifest
from tljh_runbook.hub.snapshot import Snapshot
from tljh_runbook.hub.source import Source
from tljh_runbook.hub.user_data import offsite

if TYPE_CHECKING:
    from collections.abc import Iterator

PARTIAL = ".partial-"
RESERVE = 16 << 20  # bytes left free on the disk whatever a snapshot takes
Say = Callable[[str], None]


@dataclass
class Folder:
    """One component's place in a snapshot that is being written."""

    snapshot: Path
    component: str
    hub: Hub
    kept_as: str
    """The name of the snapshot once it is sealed."""
    alone: bool = False
    """Whether this component is all that was asked for, so that without it there is nothing."""
    say: Say = lambda _: None
    entries: list[Entry] = field(default_factory=list)
    unread: dict[str, str] = field(default_factory=dict)
    """What should be here and could not be read, and why."""

    def place(self, name: str) -> Path:
        """Return where the file ``name`` goes, its folders made."""
        path = self.snapshot / self.component / name
        for parent in reversed(path.relative_to(self.snapshot).parents):
            # mkdir(parents=True) would give the mode to the last one only.
            (self.snapshot / parent).mkdir(mode=0o700, exist_ok=True)
        return path

    def copy(self, origin: Path, name: str) -> None:
        """Keep a copy of the small file ``origin``; one that cannot be read is noted.

        Raises `FileNotFoundError` where it is gone, `PermissionError` where root could read it.
        """
        try:
            data, status = files.steady(origin)
        except OSError as error:
            self.cannot_read(origin, error)
            return
        files.write_new(self.place(name), data)
        self.record(name, origin, status)

    def cannot_read(self, origin: Path, error: OSError) -> None:
        """Note what could not be read, unless it is gone or the reader is only not root."""
        if isinstance(error, FileNotFoundError):
            raise error
        if isinstance(error, PermissionError) and os.geteuid() != 0:
            raise error
        self.unread[str(origin)] = error.strerror or str(error)

    def write(self, name: str, text: str) -> None:
        """Keep a text that is no file on the hub."""
        files.write_new(self.place(name), text.encode())
        self.record(name, None, self.place(name).stat())

    def record(self, name: str, origin: Path | None, status: os.stat_result) -> None:
        """Enter a file that was put at ``place(name)``, with its origin's mode and owner."""
        path = f"{self.component}/{name}"
        size, sha = files.digest(self.snapshot / path)
        self.entries.append(
            Entry(
                path=path,
                component=self.component,
                origin=str(origin) if origin else None,
                size=size,
                sha256=sha,
                mode=status.st_mode & manifest_checks.FILE_MODE,
                uid=status.st_uid,
                gid=status.st_gid,
                mtime_ns=status.st_mtime_ns,
            )
        )


def create(source: Source, components: Iterable[Component], say: Say = lambda _: None) -> Snapshot:
    """Make a snapshot while no other run works on the hub.

    Raises `Busy` and what `make` raises.
    """
    with (
        files.disk_errors(source.backups, "No snapshot was made."),
        lock.hold(source.hub, "the backup"),
    ):
        return make(source, components, say)


def make(
    source: Source,
    components: Iterable[Component],
    say: Say = lambda _: None,
    begin: Say | None = None,
) -> Snapshot:
    """Capture ``components`` while the hub runs, check and seal them; return the snapshot.

    The caller holds the hub's lock. ``begin`` is told what begins, and ``say`` how far it is.
    Whatever goes wrong leaves no snapshot and nothing half written.
    Raises `NoSpace`, `AccessDenied` and what a component raises.
    """
    wanted = tuple(components)
    backups, begin = source.backups, begin or say
    with files.disk_errors(backups, "No snapshot was made."):
        files.make_private(backups)
        forget_partial(source)
        _enough_space(backups, sum(component.size(source) for component in wanted))
        with _partial(source) as (partial, name):
            _fill((partial, name), source, wanted, say, begin)
            bring_to_disk(partial)
            partial.rename(backups / name)
        files.sync_folder(backups)
        sequence.record(source.hub.work, snapshot.sequence(backups / name) or 0)
    begin("Read it back")
    made = offsite.ride(source, snapshot.verify(backups / name), begin)
    return replace(made, note=" ".join(filter(None, (shrinkage.told(source, made), made.note))))


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
    partial = partial_place(source, name)
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


def forget_partial(source: Source) -> None:
    """Remove what a killed run left; the hub's lock says that none is at work."""
    for left in source.backups.glob(f"{_prefix(source)}*"):
        shutil.rmtree(left)


def partial_place(source: Source, name: str) -> Path:
    """Return where the snapshot ``name`` is put together."""
    return source.backups / f"{_prefix(source)}{name}"


def _prefix(source: Source) -> str:
    """Return how this hub's unfinished snapshots begin: others may share the folder."""
    return f"{PARTIAL}{hashlib.sha256(bytes(source.hub.prefix)).hexdigest()[:8]}-"


def _enough_space(backups: Path, needed: int) -> None:
    free = shutil.disk_usage(backups).free
    if free < needed + RESERVE:
        raise NoSpace(
            f"The disk that holds {backups} has {free >> 20} MB free; the snapshot needs about "
            f"{(needed + RESERVE) >> 20} MB. No snapshot was made.",
            hint="Free some room, or set `backups` in the settings file to a larger disk.",
        )


def bring_to_disk(partial: Path) -> None:
    """Bring the entries of all folders of an unfinished snapshot to the disk."""
    for folder, _, _ in os.walk(partial):
        files.sync_folder(Path(folder))
