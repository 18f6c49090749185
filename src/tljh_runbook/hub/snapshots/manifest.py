"""The manifest of a snapshot: its files with their checksums, and where they came from."""

from __future__ import annotations

import json
import os
import shlex
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tljh_runbook.errors import SnapshotDamaged, SnapshotNewer
from tljh_runbook.hub.snapshots import manifest_checks

FORMAT = 2
READABLE = (1, FORMAT)  # a snapshot of format 1 has no sequence
CREATED = "%Y-%m-%dT%H:%M:%SZ"
NAME = "manifest.json"
SUMS = "SHA256SUMS"
NOTES = "RESTORE.md"
REPORTS = "reports"  # not checksummed: reports of upgrades that started from this snapshot
RESERVED = frozenset({NAME, SUMS, NOTES, REPORTS})


@dataclass(frozen=True)
class Entry:
    """One file of a snapshot. Sizes are in bytes, ``mtime_ns`` in nanoseconds since 1970."""

    path: str
    component: str
    origin: str | None
    size: int
    sha256: str
    mode: int
    uid: int
    gid: int
    mtime_ns: int

    @property
    def install_line(self) -> str:
        """The command that restores the file by hand, run from the snapshot's folder."""
        owned = f"install -m {self.mode:04o} -o {self.uid} -g {self.gid}"
        return f"{owned} {shlex.quote(self.path)} {shlex.quote(self.origin or '')}"

    @property
    def gone(self) -> bool:
        """Whether the original file no longer exists."""
        return not os.path.lexists(self.origin or "")

    def below(self, paths: Sequence[Path]) -> bool:
        """Return whether the file came from one of ``paths`` or from below one."""
        return any(Path(self.origin).is_relative_to(path) for path in paths if self.origin)


@dataclass(frozen=True)
class Manifest:
    """The contents of ``manifest.json``."""

    id: str
    created: str
    hub: str
    host: str
    tool: str
    versions: dict[str, Any]
    labels: dict[str, str]
    components: dict[str, dict[str, Any]]
    files: tuple[Entry, ...]
    notes_sha256: str
    sequence: int = 0
    """The position in the order in which snapshots were taken; 0 if none was recorded.

    A server's clock may be wrong, so the order does not depend on the name or on ``created``.
    """
    format: int = field(default=FORMAT)

    @property
    def held(self) -> set[str]:
        """The components that the snapshot contains; one that could not be saved is only listed."""
        details = self.components.items()
        return {name for name, each in details if each.get("kept", True)}

    @property
    def size(self) -> int:
        """The total size of all files, in bytes."""
        return sum(entry.size for entry in self.files)

    def of(self, component: str) -> list[Entry]:
        return [entry for entry in self.files if entry.component == component]

    def to_bytes(self) -> bytes:
        values = asdict(self)
        if self.format == 1:
            del values["sequence"]
        return (json.dumps(values, indent=2, sort_keys=True) + "\n").encode()


def read(data: bytes, what: str) -> Manifest:
    """Return the manifest in ``data``, of the snapshot ``what``. Raises `SnapshotDamaged`."""
    try:
        values = json.loads(data)
        if values["format"] not in READABLE:
            raise SnapshotNewer(
                f"The snapshot {what} has format {values['format']}; this version of the tool "
                f"reads the formats up to {FORMAT}. Nothing was changed.",
                hint=f"Use the newer version of this tool that wrote it ({values.get('tool')}), or "
                "follow its RESTORE.md.",
            )
        manifest_checks.require_sound(values, RESERVED)
        files = tuple(Entry(**entry) for entry in values.pop("files"))
        manifest = Manifest(**values, files=files)
        time.strptime(manifest.created, CREATED)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise SnapshotDamaged(
            f"The manifest of the snapshot {what} cannot be read: {error}.",
            hint="Do not restore from it. To list the others: tljh-runbook snapshots",
        ) from error
    if manifest.to_bytes() != data:
        raise SnapshotDamaged(
            f"The manifest of the snapshot {what} was changed after it was sealed.",
            hint="Do not restore from it. To list the others: tljh-runbook snapshots",
        )
    return manifest


def sequence(data: bytes) -> int | None:
    """Return the sequence in a manifest of any format, even a newer one; None if unreadable."""
    try:
        number = json.loads(data).get("sequence", 0)
    except (ValueError, AttributeError):
        return None
    return number if type(number) is int else None


def sealed(manifest: Manifest, manifest_sha256: str) -> dict[str, str]:
    """Return the SHA-256 of every checksummed file, by path."""
    found = {entry.path: entry.sha256 for entry in manifest.files}
    return found | {NAME: manifest_sha256, NOTES: manifest.notes_sha256}


def sums(wanted: dict[str, str]) -> bytes:
    """Return the content of ``SHA256SUMS``, in the format of ``sha256sum -c``."""
    return os.fsencode("".join(_line(path, sha) for path, sha in sorted(wanted.items())))


def _line(path: str, sha: str) -> str:
    escaped = path.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")
    return f"{'' if escaped == path else chr(92)}{sha}  {escaped}\n"
