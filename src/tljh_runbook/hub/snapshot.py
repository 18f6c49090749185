"""Snapshots: the components of one hub at one moment, written whole and sealed."""

from __future__ import annotations

import calendar
import hashlib
import os
import re
import shutil
import socket
import stat
import time
from collections.abc import Callable, Iterable
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tljh_runbook import __version__
from tljh_runbook.errors import NoSpace, SnapshotDamaged, SnapshotMissing
from tljh_runbook.hub import files, lock, manifest, restore_notes, versions
from tljh_runbook.hub.components import Component
from tljh_runbook.hub.layout import Hub
from tljh_runbook.hub.manifest import Entry, Manifest
from tljh_runbook.hub.services import Services
from tljh_runbook.hub.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

PARTIAL = ".partial-"
NAMED = re.compile(r"\d{8}T\d{6}Z(-\d+)?")
RESERVE = 16 << 20  # bytes left free on the disk whatever a snapshot takes
Say = Callable[[str], None]


@dataclass(frozen=True)
class Source:
    """The hub that is captured."""

    hub: Hub
    settings: Settings
    services: Services

    @property
    def backups(self) -> Path:
        """The folder that holds the snapshots."""
        return Path(self.settings.backups)


@dataclass
class Folder:
    """One component's place in a snapshot that is being written."""

    snapshot: Path
    component: str
    hub: Hub
    entries: list[Entry] = field(default_factory=list)

    def place(self, name: str) -> Path:
        """Return where the file ``name`` goes, its folders made."""
        path = self.snapshot / self.component / name
        for parent in reversed(path.relative_to(self.snapshot).parents):
            # mkdir(parents=True) would give the mode to the last one only.
            (self.snapshot / parent).mkdir(mode=0o700, exist_ok=True)
        return path

    def copy(self, origin: Path, name: str) -> None:
        """Keep a copy of the small file ``origin``."""
        status = files.copy(origin, self.place(name))
        self.record(name, origin, status)

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
                mode=stat.S_IMODE(status.st_mode),
                uid=status.st_uid,
                gid=status.st_gid,
                mtime_ns=status.st_mtime_ns,
            )
        )


@dataclass(frozen=True)
class Snapshot:
    """A snapshot on disk."""

    path: Path
    manifest: Manifest

    @property
    def age(self) -> float:
        """Seconds since it was made."""
        return time.time() - calendar.timegm(time.strptime(self.manifest.created, manifest.CREATED))

    @property
    def reports(self) -> Path:
        return self.path / manifest.REPORTS


def create(source: Source, components: Iterable[Component], say: Say = lambda _: None) -> Snapshot:
    """Capture ``components`` while the hub runs, check and seal them; return the snapshot.

    Whatever goes wrong leaves no snapshot and nothing half written.
    Raises `Busy`, `NoSpace`, `AccessDenied` and what a component raises.
    """
    wanted = tuple(components)
    backups = source.backups
    with files.disk_errors(backups, "No snapshot was made."):
        files.make_private(backups)
        with lock.hold(source.hub, "the backup"):
            _forget_partial(source)
            _enough_space(backups, sum(component.size(source) for component in wanted))
            with _partial(source) as (partial, name):
                _fill(partial, name, source, wanted, say)
                _bring_to_disk(partial)
                partial.rename(backups / name)
            files.sync_folder(backups)
    return verify(backups / name)


def listed(backups: Path) -> list[Path]:
    """Return the folders of all snapshots, oldest first."""
    if not backups.is_dir():
        return []
    # A disk of its own has a lost+found as well.
    return sorted((path for path in backups.iterdir() if NAMED.fullmatch(path.name)), key=_order)


def _order(path: Path) -> tuple[str, int]:
    """Order by time, and within a second by number: the tenth comes after the second."""
    moment, _, number = path.name.partition("-")
    return moment, int(number or 1)


def find(backups: Path, name: str | None) -> Path:
    """Return the folder of the snapshot ``name``, of the newest when it is None.

    Raises `SnapshotMissing`.
    """
    known = {path.name: path for path in listed(backups)}
    if not known:
        raise SnapshotMissing(
            f"There is no snapshot in {backups}.", hint="Make one: tljh-runbook backup"
        )
    if name is None:
        return list(known.values())[-1]
    if name not in known:
        raise SnapshotMissing(
            f"There is no snapshot {name!r} in {backups}.",
            hint="tljh-runbook snapshots lists them.",
        )
    return known[name]


def read(path: Path) -> Snapshot:
    """Return the snapshot in ``path``, its manifest read only. Raises `SnapshotDamaged`."""
    return Snapshot(path, manifest.read(_bytes(path / manifest.NAME, path.name), path.name))


def verify(path: Path, say: Say = lambda _: None) -> Snapshot:
    """Read every byte of the snapshot in ``path`` and compare it with the seal.

    Raises `SnapshotDamaged` naming every file that is missing, changed or not sealed.
    """
    snapshot = read(path)
    _, sha = files.digest(path / manifest.NAME)
    expected = manifest.sealed(snapshot.manifest, sha)
    wrong = _differences(path, expected, say)
    if _bytes(path / manifest.SUMS, path.name) != manifest.sums(expected):
        wrong.append(f"{manifest.SUMS} does not fit the manifest")
    if snapshot.manifest.id != path.name:
        wrong.append(f"the manifest belongs to the snapshot {snapshot.manifest.id}")
    if wrong:
        raise SnapshotDamaged(
            f"The snapshot {path.name} is damaged: {'; '.join(wrong)}.",
            hint="Do not restore from it. Make a new one now: tljh-runbook backup",
        )
    return snapshot


def _differences(path: Path, wanted: dict[str, str], say: Say) -> list[str]:
    present = {str(found.relative_to(path)) for found in files.walk(path)}
    present = {name for name in present if not name.startswith(f"{manifest.REPORTS}/")}
    wrong = [f"{name} is not part of it" for name in sorted(present - {*wanted, manifest.SUMS})]
    for name, sha in wanted.items():
        say(name)
        wrong += _wrong(path / name, name, sha)
    return wrong


def _wrong(file: Path, name: str, sha: str) -> list[str]:
    try:
        return [] if files.digest(file)[1] == sha else [f"{name} has changed"]
    except FileNotFoundError:
        return [f"{name} is missing"]
    except OSError as error:
        return [f"{name} cannot be read ({error.strerror})"]


def _bytes(file: Path, name: str) -> bytes:
    try:
        return files.read(file)
    except OSError as error:
        raise SnapshotDamaged(
            f"The snapshot {name} is damaged: {file.name}: {error.strerror}.",
            hint="Do not restore from it. tljh-runbook snapshots lists the others.",
        ) from error


def _fill(
    partial: Path, name: str, source: Source, components: tuple[Component, ...], say: Say
) -> None:
    folders, details = [], {}
    for component in components:
        say(component.title)
        folder = Folder(partial, component.name, source.hub)
        details[component.name] = component.capture(source, folder)
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
    partial = source.backups / f"{_prefix(source)}{name}"
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


def _forget_partial(source: Source) -> None:
    """Remove what a killed run left; the hub's lock says that none is at work."""
    for left in source.backups.glob(f"{_prefix(source)}*"):
        shutil.rmtree(left)


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


def _bring_to_disk(partial: Path) -> None:
    for folder, _, _ in os.walk(partial):
        files.sync_folder(Path(folder))
