"""Replicated snapshots: a copy of each in the restic repository of users' files."""

from __future__ import annotations

from dataclasses import dataclass, replace

from tljh_runbook.errors import RunbookError
from tljh_runbook.hub.context import Source
from tljh_runbook.hub.snapshots import snapshot
from tljh_runbook.hub.snapshots.snapshot import Say, Snapshot
from tljh_runbook.hub.user_data.restic import repository, restic
from tljh_runbook.hub.user_data.restic.restic import Repository

TAG = "snapshot"
COMPONENT = "user-data"


@dataclass(frozen=True)
class Riding:
    """A replicated snapshot: its name, the copy's restic ID, and its original path."""

    name: str
    id: str
    path: str
    sequence: int


def ride(source: Source, made: Snapshot, say: Say = lambda _: None) -> Snapshot:
    """Copy a snapshot into the repository that holds its user data, if there is any.

    The snapshot is valid even if the copy fails: the error is added as its ``note``.
    """
    if not made.manifest.components.get(COMPONENT, {}).get("kept"):
        return made
    say("A copy of the snapshot beside the user data")
    try:
        _copy(repository.opened(source), made)
    except RunbookError as error:
        note = f"The snapshot is whole, but no copy of it was kept elsewhere. {error.message}"
        return replace(made, note=f"{note} {error.advice}")
    return made


def listed(opened: Repository) -> list[Riding]:
    """Return this hub's replicated snapshots, oldest first."""
    found = {
        name: Riding(name, each["id"], each["paths"][0], repository.sequence(each))
        for each in repository.own(opened)
        if TAG in each["tags"] and snapshot.NAMED.fullmatch(name := repository.kept_as(each))
    }
    return sorted(found.values(), key=lambda each: (each.sequence, snapshot.order(each.name)))


def names(opened: Repository) -> list[str]:
    """Return the names of all snapshots with data in the repository, oldest first."""
    numbers: dict[str, int] = {}
    for each in repository.own(opened):
        if snapshot.NAMED.fullmatch(name := repository.kept_as(each)):
            numbers[name] = max(numbers.get(name, 0), repository.sequence(each))
    return sorted(numbers, key=lambda name: (numbers[name], snapshot.order(name)))


def _copy(opened: Repository, made: Snapshot) -> None:
    number = f"{repository.SEQUENCE}{made.manifest.sequence}"
    tags = (repository.TAG, TAG, f"id={made.path.name}", number)
    options = ["--host", opened.name, *(word for tag in tags for word in ("--tag", tag))]
    restic.run(opened, "backup", *options, "--", str(made.path.resolve()))
