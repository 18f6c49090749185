"""The snapshot sequence: a number that only increases, independent of the system clock."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from tljh_runbook.hub.context import Source
from tljh_runbook.hub.core import files
from tljh_runbook.hub.snapshots import snapshot

RECORD = "sequence"


def following(source: Source) -> int:
    """Return the number for the next snapshot: higher than any stored or recorded one."""
    stored = (snapshot.sequence(path) or 0 for path in snapshot.listed(source.backups))
    return max(_recorded(source.hub.work), *stored, 0) + 1


def record(work: Path, number: int) -> None:
    """Record that ``number`` is used, even if that snapshot is stored only elsewhere."""
    if number > _recorded(work):
        files.make_private(work)
        files.replace(work / RECORD, f"{number}\n".encode())


def _recorded(work: Path) -> int:
    with suppress(OSError, ValueError):
        return int(files.read(work / RECORD))
    return 0
