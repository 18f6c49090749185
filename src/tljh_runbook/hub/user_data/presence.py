"""Detection of lost users' files, such as a home that had files before and is empty now.

A disk that is not mounted leaves an empty folder, which is backed up without an error. So every
place that once held files is recorded until it holds files again or an administrator acknowledges
that it is gone.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tljh_runbook.errors import HomesLost, SnapshotDamaged
from tljh_runbook.hub.context import Source
from tljh_runbook.hub.core import files
from tljh_runbook.hub.snapshots import snapshot
from tljh_runbook.hub.user_data import homes
from tljh_runbook.hub.user_data.homes import Homes

RECORD = "homes.json"
COMPONENT = "user-data"
NAMED = 5  # places listed in a message
HINT = "Mount the disk or restore the files. If they are gone on purpose: tljh-runbook acknowledge"


@dataclass(frozen=True)
class Place:
    """A folder that held files: whose home it is ('' if not one user's), and its mount point."""

    user: str
    mount: str


Places = dict[str, Place]


def lost(source: Source) -> dict[str, str]:
    """Return the places that no longer hold their files, each with the reason. Read-only.

    Raises what `homes.find` raises.
    """
    found = homes.find(source)
    return _lost(_expected(source, found))


def remember(source: Source, found: Homes) -> dict[str, str]:
    """Record the places that hold files now; return what `lost` returns."""
    expected = _expected(source, found)
    gone = _lost(expected)
    # Keep the recorded mount of a lost place: files that show up there may be different ones.
    _write(source, _full(found) | {path: expected[path] for path in gone})
    return gone


def acknowledge(source: Source) -> dict[str, str]:
    """Forget the lost places and return them: they are no longer expected to exist."""
    found = homes.find(source)
    gone = _lost(_expected(source, found))
    _write(source, _full(found))
    return gone


def require(source: Source) -> None:
    """Raise `HomesLost` if a place is lost."""
    if gone := lost(source):
        raise HomesLost(f"Users' files are missing: {told(gone)}.", hint=HINT)


def told(gone: dict[str, str]) -> str:
    """Return one line that describes the lost places."""
    named = [f"{path!a} {why}" for path, why in gone.items()]
    more = [f"{len(named) - NAMED} more"] if len(named) > NAMED else []
    return ", ".join([*named[:NAMED], *more])


def _lost(expected: Places) -> dict[str, str]:
    found = ((path, _why(Path(path), each.mount)) for path, each in sorted(expected.items()))
    return {path: why for path, why in found if why}


def _why(path: Path, mount: str) -> str:
    """Return why a place no longer holds its files, or ''."""
    why = _unlike(path)  # must come first: reading it may trigger an automount
    return why if os.path.ismount(mount) else f"is not there: nothing is mounted at {mount}"


def _unlike(path: Path) -> str:
    try:
        with os.scandir(path) as entries:
            return "" if next(entries, None) else "is empty"
    except FileNotFoundError:
        return "is not there"
    except OSError as error:
        return f"cannot be read: {error.strerror}"


def _full(found: Homes) -> Places:
    """Return the places that hold files now."""
    places = {str(path): Place("", _mount(path)) for path in found.paths}
    places |= {home: Place(user, _mount(Path(home))) for user, home in found.of.items()}
    return {path: each for path, each in places.items() if not _why(Path(path), each.mount)}


def _mount(path: Path) -> str:
    while not os.path.ismount(path) and path != path.parent:
        path = path.parent
    return str(path)


def _expected(source: Source, found: Homes) -> Places:
    """Return the places that should hold files."""
    known = _recorded(source)
    if known is None:
        known = _of_last_snapshot(source)
    return {path: each for path, each in known.items() if _still_wanted(path, each, source, found)}


def _still_wanted(path: str, each: Place, source: Source, found: Homes) -> bool:
    """Return whether a place should still hold files; a removed user's home should not."""
    if each.user:
        gone = not os.path.lexists(path) and os.path.ismount(each.mount)
        removed = each.user not in found.of and each.user not in found.homeless
        moved = found.of.get(each.user, path) != path
        return found.unknown or not (gone and (removed or moved))
    wanted = [source.settings.homes, *source.settings.user_data.also, *map(str, found.paths)]
    return any(path in {each, os.path.realpath(each)} for each in wanted)


def _of_last_snapshot(source: Source) -> Places:
    """Return the places in the last snapshot of an older version, which records no mounts."""
    for path in reversed(snapshot.listed(source.backups)):
        with suppress(SnapshotDamaged):
            kept = snapshot.read(path).manifest
            about = kept.components.get(COMPONENT, {})
            if kept.hub == str(source.hub.prefix) and about.get("kept"):
                return _told_by(about)
    return {}


def _told_by(about: dict[str, Any]) -> Places:
    folders = about["paths"] if about["files"] else []
    there = {path: Place("", "/") for path in folders}
    # The snapshot does not say whether a home that is empty now was already empty then.
    empty = {home for home in about["homes"].values() if _unlike(Path(home)) == "is empty"}
    users: Iterable[tuple[str, str]] = about["homes"].items()
    return there | {home: Place(user, "/") for user, home in users if home not in empty}


def _recorded(source: Source) -> Places | None:
    with suppress(OSError, ValueError, TypeError, AttributeError):
        values = json.loads(files.read(source.hub.work / RECORD))
        return {path: Place(**each) for path, each in values.items()}
    return None


def _write(source: Source, places: Places) -> None:
    files.make_private(source.hub.work)
    text = json.dumps({path: asdict(each) for path, each in places.items()}, indent=2)
    files.replace(source.hub.work / RECORD, f"{text}\n".encode())
