"""Snapshots on disk: list, find, read and verify them."""

from __future__ import annotations

import calendar
import random
import re
import stat
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tljh_runbook.errors import SnapshotDamaged, SnapshotMissing
from tljh_runbook.hub.core import files
from tljh_runbook.hub.snapshots import manifest
from tljh_runbook.hub.snapshots.manifest import Manifest

NAMED = re.compile(r"\d{8}T\d{6}Z(-\d+)?")
Say = Callable[[str], None]


@dataclass(frozen=True)
class Snapshot:
    """A snapshot on disk."""

    path: Path
    manifest: Manifest
    note: str = ""
    """What went wrong after the snapshot was complete, and how to fix it, as a message to show."""

    @property
    def age(self) -> float:
        """The time since it was made, in seconds."""
        return time.time() - calendar.timegm(time.strptime(self.manifest.created, manifest.CREATED))

    @property
    def notes(self) -> list[str]:
        """What could not be saved, why, and how to fix it, as messages to show."""
        details = self.manifest.components.items()
        found = [f"{name}: {each['note']}" for name, each in details if each.get("note")]
        found += [f"{name}: {each}" for name, why in self.unread.items() for each in _named(why)]
        return [*found, self.note] if self.note else found

    @property
    def unread(self) -> dict[str, dict[str, str]]:
        """What should be in it but could not be read, and why, by component."""
        details = self.manifest.components.items()
        return {name: each["unread"] for name, each in details if each.get("unread")}

    @property
    def lost(self) -> dict[str, str]:
        """The paths that held users' files earlier but not when it was taken, and why."""
        details = self.manifest.components.values()
        return {path: why for each in details for path, why in each.get("lost", {}).items()}

    @property
    def left_out(self) -> dict[str, str]:
        """What was left out on purpose: each path or name, and the reason."""
        details = self.manifest.components.values()
        return {what: why for each in details for what, why in each.get("left_out", {}).items()}

    @property
    def reports(self) -> Path:
        return self.path / manifest.REPORTS


def _named(unread: dict[str, str]) -> list[str]:
    return [f"{what!a} could not be read: {why}." for what, why in unread.items()]


def listed(backups: Path) -> list[Path]:
    """Return the folders of all snapshots, oldest first."""
    if not backups.is_dir():
        return []
    # If the folder is a mount point, it also contains lost+found.
    found = (path for path in backups.iterdir() if NAMED.fullmatch(path.name))
    return _as_taken(sorted(found, key=lambda path: order(path.name)))


def _as_taken(by_name: list[Path]) -> list[Path]:
    """Return snapshots, given sorted by name, in the order in which they were taken.

    Those without a sequence are older than all others. An unreadable one stays after the one
    before it: if it is the newest, its damage must be reported and not overlooked.
    """
    places, last = {}, 0
    for path in by_name:
        number = sequence(path)
        last = places[path] = last if number is None else number
    return sorted(by_name, key=places.__getitem__)


def sequence(path: Path) -> int | None:
    """Return the sequence of the snapshot in ``path``; None if it can't be read."""
    with suppress(OSError):
        return manifest.sequence(files.read(path / manifest.NAME))
    return None


def order(name: str) -> tuple[str, int]:
    """Return a sort key for names: by time, and within a second by number, so 10 follows 2."""
    moment, _, number = name.partition("-")
    return moment, int(number or 1)


def find(backups: Path, name: str | None) -> Path:
    """Return the folder of the snapshot ``name``, or of the newest one if it is None.

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
            hint="See which there are: tljh-runbook snapshots",
        )
    return known[name]


def read(path: Path) -> Snapshot:
    """Return the snapshot in ``path``; only its manifest is read. Raises `SnapshotDamaged`."""
    return Snapshot(path, manifest.read(_bytes(path / manifest.NAME, path.name), path.name))


def verify(path: Path, say: Say = lambda _: None, share: float = 1.0) -> Snapshot:
    """Read the snapshot in ``path`` and verify every byte against the manifest.

    With a ``share`` below 1, only that share of the files is read, chosen at random; of the others,
    only the size is compared.
    Raises `SnapshotDamaged` that names every missing, changed or unexpected file.
    """
    snapshot = read(path)
    _, sha = files.digest(path / manifest.NAME)
    expected = manifest.sealed(snapshot.manifest, sha)
    sizes = {entry.path: entry.size for entry in snapshot.manifest.files}
    passed_over = random.sample(sorted(sizes), int(len(sizes) * (1 - share)))
    unread = {name: sizes[name] for name in passed_over}
    wrong = _differences(path, expected, unread, say)
    if _bytes(path / manifest.SUMS, path.name) != manifest.sums(expected):
        wrong.append(f"{manifest.SUMS} does not fit the manifest")
    if snapshot.manifest.id != path.name:
        wrong.append(f"the manifest belongs to the snapshot {snapshot.manifest.id}")
    if wrong:
        raise SnapshotDamaged(
            f"The snapshot {path.name} is damaged: {'; '.join(wrong)}.",
            hint=(
                "Do not restore from it. To list the others: tljh-runbook snapshots",
                "If the hub is well, make a new one now: tljh-runbook backup",
            ),
        )
    return snapshot


def _differences(path: Path, wanted: dict[str, str], unread: dict[str, int], say: Say) -> list[str]:
    present = {str(found.relative_to(path)) for found in files.walk(path)}
    present = {name for name in present if not name.startswith(f"{manifest.REPORTS}/")}
    wrong = [f"{name} is not part of it" for name in sorted(present - {*wanted, manifest.SUMS})]
    for name, sha in wanted.items():
        say(name)
        wrong += _wrong(path / name, name, sha, unread.get(name))
    return wrong


def _wrong(file: Path, name: str, sha: str, size: int | None) -> list[str]:
    """Return what is wrong with a file; if a ``size`` is given, only the size is compared."""
    try:
        if size is not None:
            status = file.lstat()
            same = stat.S_ISREG(status.st_mode) and status.st_size == size
            return [] if same else [f"{name} has changed"]
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
            hint="Do not restore from it. To list the others: tljh-runbook snapshots",
        ) from error
