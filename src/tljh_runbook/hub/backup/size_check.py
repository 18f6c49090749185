"""Size regression check: find what the previous snapshot held and a new one does not."""

from __future__ import annotations

from typing import Any

from tljh_runbook.errors import SnapshotDamaged
from tljh_runbook.hub.context import Source
from tljh_runbook.hub.snapshots import snapshot
from tljh_runbook.hub.snapshots.manifest import Manifest
from tljh_runbook.hub.snapshots.snapshot import Snapshot

CONFIG = "config/config/config.yaml"


def told(source: Source, made: Snapshot) -> str:
    """Return a warning that lists what was lost since the previous snapshot, or ''.

    A backup of a broken hub is valid and the newest, but must not pass for a good one.
    """
    lost = [
        loss
        for name in made.manifest.held
        if (last := _last(source, made, name))
        for loss in _losses(name, last, made.manifest)
    ]
    if not lost:
        return ""
    return (
        f"Compared with the snapshots before: {'; '.join(lost)}. If that was not meant, give it "
        "back from one of them: tljh-runbook snapshots"
    )


def _last(source: Source, made: Snapshot, component: str) -> Manifest | None:
    """Return the manifest of the previous snapshot that holds a component."""
    listed = snapshot.listed(source.backups)
    for path in reversed(listed[: listed.index(made.path)]):
        try:
            kept = snapshot.read(path).manifest
        except SnapshotDamaged:
            continue
        if component in kept.held and kept.hub == made.manifest.hub:
            return kept
    return None


def _losses(component: str, last: Manifest, now: Manifest) -> list[str]:
    before, after = last.components[component], now.components[component]
    if component == "database":
        return [f"the database {name} is gone" for name in sorted(_names(before) - _names(after))]
    if component == "user-data" and after["files"] < before["files"] / 2:
        return [f"{after['files']} files of users, {before['files']} then"]
    had = any(entry.path == CONFIG for entry in last.of(component))
    if had and not any(entry.path == CONFIG for entry in now.of(component)):
        return ["config.yaml is gone"]
    return []


def _names(details: dict[str, Any]) -> set[str]:
    return {name for name, each in details.items() if isinstance(each, dict)}
