"""The differences between two snapshots: versions, database row counts, files."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from tljh_runbook.hub.snapshots.manifest import Entry, Manifest


@dataclass(frozen=True)
class Difference:
    """One difference; an empty string means that the item is missing on that side."""

    component: str
    what: str
    older: str
    newer: str

    def to_json(self) -> dict[str, str]:
        return asdict(self)

    def row(self) -> list[str]:
        return [self.component, self.what, self.older or "-", self.newer or "-"]


def between(older: Manifest, newer: Manifest) -> list[Difference]:
    """Return the differences, component by component."""
    found = [*_pairs("versions", older.labels, newer.labels)]
    for name in sorted({*older.components, *newer.components}):
        found += _pairs(name, _told(older, name), _told(newer, name))
    return found


def _told(manifest: Manifest, component: str) -> dict[str, str]:
    """Return the values of a component that are compared, by name."""
    if component not in manifest.components:
        return {}
    told = {"": "kept"}
    told |= dict(_rows(manifest.components[component]))
    # Database bytes and the proxy's routes change all the time, so row counts are compared.
    return told | {entry.path: _file(entry) for entry in manifest.of(component)}


def _rows(details: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for name, each in details.items():
        if isinstance(each, dict) and isinstance(each.get("rows"), dict):
            yield f"{name}: revision", str(each.get("revision"))
            for table, count in each["rows"].items():
                yield f"{name}: rows of {table}", str(count)


def _file(entry: Entry) -> str:
    return f"{entry.size} bytes, {entry.sha256[:12]}, {entry.mode:04o} {entry.uid}:{entry.gid}"


def _pairs(component: str, older: dict[str, str], newer: dict[str, str]) -> Iterator[Difference]:
    for what in sorted({*older, *newer}):
        before, after = older.get(what, ""), newer.get(what, "")
        if before != after:
            yield Difference(component, what, before, after)
