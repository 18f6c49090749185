"""The order in which snapshots were taken: a number that only grows, whatever the clock says."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from tljh_runbook.hub.context import Source
from tljh_runbook.hub.core import files
from tljh_runbook.hub.snapshots import snapshot

RECORD = "sequence"


def following(source: Source) -> int:
    """Return the number of the next snapshot: higher than all that are stored or recorded."""
    stored = (snapshot.sequence(path) or 0 for path in snapshot.listed(source.backups))
    return max(_recorded(source.hub.work), *stored, 0) + 1


def record(work: Path, number: int) -> None:
    """Remember that ``number`` is taken, also when that snapshot is stored only elsewhere."""
    if number > _recorded(work):
        files.make_private(work)
        files.replace(work / RECORD, f"{number}\n".encode())


def _recorded(work: Path) -> int:
    with suppress(OSError, ValueError):
        return int(files.read(work / RECORD))
    return 0
