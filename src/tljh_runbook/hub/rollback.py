"""What taking an upgrade back would change; looks only."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tljh_runbook.hub import versions
from tljh_runbook.hub.database import sql
from tljh_runbook.hub.source import Source
from tljh_runbook.hub.staging import previous, way_back


@dataclass(frozen=True)
class Going:
    """What would change: ``changes`` are names with what runs now and what ran before.

    ``lost`` are rows by table that only the newer databases have, where those were migrated.
    """

    at: str
    snapshot: str
    changes: list[list[str]]
    lost: dict[str, int]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def plan(source: Source) -> Going:
    """Return what taking the last upgrade back would change. Raises `NothingToTakeBack`."""
    kept = previous.read(source.hub)
    now = versions.installed(source.hub).rows()
    changes = [
        [name, now.get(name, "-"), kept.labels.get(name, "-")]
        for name in {**now, **kept.labels}
        if now.get(name) != kept.labels.get(name)
    ]
    lost = {
        f"{name}: {table}": count
        for name in kept.way.databases
        if way_back.migrated(kept.way, name)
        for table, count in _newer(kept.way, name).items()
    }
    return Going(kept.at, kept.snapshot, changes, lost)


def _newer(way: way_back.Way, name: str) -> dict[str, int]:
    before, now = sql.rows(way.database(name)), sql.rows(Path(way.databases[name]))
    return {
        table: count - before[table]
        for table, count in now.items()
        if count > before.get(table, count)
    }
