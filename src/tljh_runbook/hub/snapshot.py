"""Snapshots on disk: listed, found, read and verified."""

from __future__ import annotations

import calendar
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tljh_runbook.errors import SnapshotDamaged, SnapshotMissing
from tljh_runbook.hub import files, manifest
from tljh_runbook.hub.manifest import Manifest

NAMED = re.compile(r"\d{8}T\d{6}Z(-\d+)?")
Say = Callable[[str], None]


@dataclass(frozen=True)
class Snapshot:
    """A snapshot on disk."""

    path: Path
    manifest: Manifest
    note: str = ""
    """What went wrong after it was sealed, and what to do about it: a line for a person."""

    @property
    def age(self) -> float:
        """Seconds since it was made."""
        return time.time() - calendar.timegm(time.strptime(self.manifest.created, manifest.CREATED))

    @property
    def reports(self) -> Path:
        return self.path / manifest.REPORTS


def listed(backups: Path) -> list[Path]:
    """Return the folders of all snapshots, oldest first."""
    if not backups.is_dir():
        return []
    # A disk of its own has a lost+found as well.
    found = (path for path in backups.iterdir() if NAMED.fullmatch(path.name))
    return sorted(found, key=lambda path: order(path.name))


def order(name: str) -> tuple[str, int]:
    """Order by time, and within a second by number: the tenth comes after the second."""
    moment, _, number = name.partition("-")
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
