"""Selection of what to restore: the snapshot, the components and the paths."""

from __future__ import annotations

import calendar
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from tljh_runbook.errors import NotKept, SettingsInvalid, SnapshotDamaged, SnapshotMissing
from tljh_runbook.hub.backup import components
from tljh_runbook.hub.backup.components import Component
from tljh_runbook.hub.context import Source
from tljh_runbook.hub.snapshots import manifest, snapshot
from tljh_runbook.hub.snapshots.manifest import Manifest
from tljh_runbook.hub.snapshots.snapshot import Snapshot
from tljh_runbook.hub.user_data import user_data_restore

USER_DATA = "user-data"
STATE = {"config", "database"}  # components that every snapshot of a whole hub holds


@dataclass(frozen=True)
class Request:
    """A request to restore something; ``before`` is in seconds since 1970."""

    components: tuple[str, ...] = ()
    user: str | None = None
    paths: tuple[Path, ...] = ()
    snapshot: str | None = None
    before: float | None = None

    @property
    def everything(self) -> bool:
        return not (self.components or self.user or self.paths)


@dataclass(frozen=True)
class Choice:
    """What to restore; without ``paths``, everything in the components."""

    kept: Snapshot
    components: tuple[Component, ...]
    paths: tuple[Path, ...]


def moment(text: str) -> float:
    """Return the end of a day, or a time, in seconds since 1970. Raises `ValueError`.

    ``text`` is ``2026-01-15`` or ``2026-01-15 22:00``, in the server's local time.
    """
    found = datetime.fromisoformat(text)
    if len(text) <= len("2026-01-15"):
        found += timedelta(days=1, microseconds=-1)
    return found.timestamp()


def choose(source: Source, request: Request) -> Choice:
    """Return what to restore: from the named snapshot, otherwise from the newest that holds it.

    Raises `NotKept`, `SnapshotMissing`, `SnapshotDamaged`, `StepUnknown`.
    """
    names = {each.name for each in components.chosen(request.components)}
    if request.snapshot:
        kept = snapshot.read(snapshot.find(source.backups, request.snapshot))
        return _of(source, kept, request)
    own = [each for each in _readable(source) if _in_time(each.manifest, source, request.before)]
    if request.everything:
        whole = [each for each in own if names <= set(each.manifest.components)]
        own = whole or [each for each in own if set(each.manifest.components) >= STATE]
    refused: NotKept | None = None
    for kept in own:
        try:
            return _of(source, kept, request)
        except NotKept as error:
            refused = refused or error  # the newest snapshot's error is the most useful
    raise refused or SnapshotMissing(
        f"No snapshot in {source.backups} is one of {source.hub.prefix}, made in time and of the "
        "whole hub. Nothing was changed.",
        hint="See what there is: tljh-runbook snapshots",
    )


def _readable(source: Source) -> list[Snapshot]:
    """Return the snapshots whose manifests can be read, newest first."""
    found = []
    for path in reversed(snapshot.listed(source.backups)):
        try:
            found.append(snapshot.read(path))
        except SnapshotDamaged:
            continue
    return found


def _in_time(kept: Manifest, source: Source, before: float | None) -> bool:
    made = calendar.timegm(time.strptime(kept.created, manifest.CREATED))
    return kept.hub == str(source.hub.prefix) and (before is None or made <= before)


def _of(source: Source, kept: Snapshot, request: Request) -> Choice:
    """Return what to restore from one snapshot. Raises `NotKept`."""
    paths = _places(kept.manifest, request)
    if paths:
        holding = _holding(kept.manifest, paths)
        if any(each.name == USER_DATA for each in holding):
            user_data_restore.require(source, kept.manifest, paths)
        return Choice(kept, holding, paths)
    held = kept.manifest.held if request.components else set(kept.manifest.components)
    for name in request.components:
        if name not in held:
            raise NotKept(
                f"The snapshot {kept.path.name} does not hold {name}: it holds "
                f"{', '.join(sorted(held))}. Nothing was changed.",
                hint="Choose another of the snapshots: tljh-runbook snapshots",
            )
    wanted = request.components or held
    return Choice(kept, tuple(each for each in components.every() if each.name in wanted), ())


def _places(kept: Manifest, request: Request) -> tuple[Path, ...]:
    """Return the requested paths as absolute paths; with a user, resolve them in the home."""
    if request.user is None:
        return tuple(Path(os.path.abspath(path)) for path in request.paths)  # noqa: PTH100
    home = _home(kept, request.user)
    places = tuple(Path(os.path.normpath(home / path)) for path in request.paths) or (home,)
    for place in places:
        if not place.is_relative_to(home):
            raise SettingsInvalid(
                f"{place} is not in the home of {request.user}, which is {home}. Nothing was "
                "changed.",
                hint="Name a path below the home; or the whole path, without --user.",
            )
    return places


def _home(kept: Manifest, user: str) -> Path:
    homes = kept.components.get(USER_DATA, {}).get("homes", {})
    if user not in homes:
        known = f" It holds the homes of {', '.join(sorted(homes)[:20])}." if homes else ""
        raise NotKept(
            f"The snapshot {kept.id} holds no home of {user!r}.{known} Nothing was changed.",
            hint="Choose another of the snapshots: tljh-runbook snapshots",
        )
    return Path(homes[user])


def _holding(kept: Manifest, paths: Sequence[Path]) -> tuple[Component, ...]:
    for path in paths:
        if not any(_holds(kept, each.name, path) for each in components.every()):
            raise NotKept(
                f"The snapshot {kept.id} does not hold {path}. Nothing was changed.",
                hint="Is the path whole, from / on? For other snapshots: tljh-runbook snapshots",
            )
    found = components.every()
    return tuple(each for each in found if any(_holds(kept, each.name, path) for path in paths))


def _holds(kept: Manifest, component: str, path: Path) -> bool:
    folders = kept.components.get(component, {}).get("paths", [])
    inside = any(path.is_relative_to(folder) for folder in folders)
    return inside or any(entry.below([path]) for entry in kept.of(component))
