"""The user data repository: created on first use, and never mixed up with another hub's."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import time
from pathlib import Path
from typing import Any

from tljh_runbook.errors import (
    RepositoryDamaged,
    RepositoryForeign,
    RepositoryLocked,
    RepositoryUnreachable,
    RunbookError,
)
from tljh_runbook.hub.context import Source
from tljh_runbook.hub.core import files
from tljh_runbook.hub.snapshots import sequence as taken
from tljh_runbook.hub.user_data.restic import password, repository_settings, restic
from tljh_runbook.hub.user_data.restic.restic import Repository
from tljh_runbook.hub.user_data.restic.restic_errors import RepositoryMissing

TAG = "tljh-runbook"
RECORD = "repository.json"
SEQUENCE = "sequence="  # prefix of the tag that orders the snapshots of a repository
_THERE = re.compile(r"already (exists|initialized|contains)")
_LAYOUT = {"config", "data", "index", "keys", "locks", "snapshots", "tmp"}


def opened(source: Source, *, make: bool = False) -> Repository:
    """Return this hub's repository; with ``make``, create it on first use.

    Raises what `restic.stream` raises, and `RepositoryForeign` if it is another hub's.
    """
    restic.program()
    repository = repository_settings.of(source)
    files.make_private(source.hub.work)
    if not password.exists(repository.password_file):
        _first_use(repository, make=make)
    elif _recorded(repository) != _identity(repository):
        _get_to_know(repository, make=make)
    return repository


def snapshots(repository: Repository) -> list[dict[str, Any]]:
    """Return restic's records of the snapshots that this tool made in the repository."""
    (found,) = restic.run(repository, "snapshots", "--tag", TAG)
    return [each for each in found or [] if TAG in (each.get("tags") or [])]


def own(repository: Repository) -> list[dict[str, Any]]:
    """Return the entries of `snapshots` that belong to this hub."""
    return [each for each in snapshots(repository) if each["hostname"] == repository.name]


def kept_as(each: dict[str, Any]) -> str:
    """Return the name of the tljh-runbook snapshot that a restic snapshot belongs to."""
    tags = each.get("tags") or []
    return next((tag.removeprefix("id=") for tag in tags if tag.startswith("id=")), "")


def sequence(each: dict[str, Any]) -> int:
    """Return the sequence number of the snapshot that a restic snapshot is a copy of, or 0."""
    tags = each.get("tags") or []
    found = [tag.removeprefix(SEQUENCE) for tag in tags if tag.startswith(SEQUENCE)]
    return next((int(number) for number in found if number.isdecimal()), 0)


def forget(repository: Repository, keep: set[str]) -> int:
    """Remove restic snapshots that belong to no snapshot in ``keep``; return how many.

    Removes only what this tool stored for this hub, and nothing if ``keep`` is empty.
    """
    found = own(repository) if keep else []
    going = [each["id"] for each in found if kept_as(each) and kept_as(each) not in keep]
    if going:
        restic.run(repository, "forget", "--prune", *going)
    return len(going)


def check(repository: Repository, subset: str | None = None) -> None:
    """Run ``restic check`` on the repository, and read ``subset`` of its data, such as "5%".

    Raises `RepositoryDamaged`.
    """
    reading = ["--read-data"] if subset == "100%" else [f"--read-data-subset={subset}"]
    restic.run(repository, "check", *(reading if subset else []))


def _first_use(repository: Repository, *, make: bool) -> None:
    folder = repository.folder
    if not make or (folder and os.path.lexists(folder / "config")):
        raise _no_password(repository)
    _make_room(folder)
    password.make(repository.password_file)
    try:
        restic.run(repository, "init")
    except RunbookError as error:
        if not _THERE.search(error.message):
            raise
        repository.password_file.unlink()  # just generated, so not this repository's password
        raise _no_password(repository) from error
    _record(repository)


def _no_password(repository: Repository) -> RepositoryLocked:
    return RepositoryLocked(
        f"There is a repository {repository.masked}, but no password file "
        f"{repository.password_file}. Nothing was changed.",
        hint="Put the emergency copy of the password in the file's place.",
    )


def _get_to_know(repository: Repository, *, make: bool) -> None:
    """Check whose repository it is before its first use; with ``make``, create a missing one."""
    try:
        there = snapshots(repository)
        names = {each["hostname"] for each in there}
    except RepositoryMissing:
        if not make:
            raise
        _still_there(repository)
        _make_room(repository.folder)
        restic.run(repository, "init")
        there, names = [], set()
    if names and repository.name not in names:
        raise RepositoryForeign(
            f"The repository {repository.masked} holds the user data of another hub: "
            f"{', '.join(map(ascii, sorted(names)))}. Nothing was changed.",
            hint="Name another one in user_data.repository. If this server takes the other's "
            "place, set user_data.name to the name above.",
        )
    # Snapshots that this server makes from now on are newer than all in the repository.
    taken.record(repository.work, max(map(sequence, there), default=0))
    _record(repository)


def _still_there(repository: Repository) -> None:
    """Raise `RepositoryUnreachable` if there was a repository: its disk may not be mounted."""
    if _recorded(repository).get("address_sha256") == _identity(repository)["address_sha256"]:
        raise RepositoryUnreachable(
            f"There is no repository at {repository.masked} any more. Nothing was changed.",
            hint="Is its disk mounted? Only if it is really gone, remove "
            f"{repository.work / RECORD}, and the next backup makes a new one.",
        )


def _make_room(folder: Path | None) -> None:
    """Remove what an interrupted first use left. Raises `RepositoryDamaged` for anything else."""
    if folder is None:
        return
    files.make_private(folder)
    left = {path.name for path in folder.iterdir()} - {"lost+found"}
    stored = [path for path in files.walk(folder) if path.parent.name not in {"keys", "lost+found"}]
    if left - _LAYOUT or (left and stored):
        raise RepositoryDamaged(
            f"{folder} is not empty, but no repository that restic can open. Nothing was changed.",
            hint="Name an empty or a new folder in user_data.repository.",
        )
    for name in left:
        shutil.rmtree(folder / name)


def _record(repository: Repository) -> None:
    about = {"address": repository.masked, "first_used": time.time()} | _identity(repository)
    file = repository.work / RECORD
    files.replace(file, json.dumps(about, indent=2).encode())


def _recorded(repository: Repository) -> dict[str, str]:
    """Return the identity of the repository as last recorded; empty if there is none."""
    try:
        values = json.loads(files.read(repository.work / RECORD))
        return {name: values[name] for name in ("name", "address_sha256", "config_sha256")}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _identity(repository: Repository) -> dict[str, str]:
    """Return what identifies a repository; of a remote one, only the address is known."""
    config = ""
    if repository.folder and (repository.folder / "config").is_file():
        config = files.digest(repository.folder / "config")[1]
    address = hashlib.sha256(os.fsencode(repository.address)).hexdigest()
    return {"name": repository.name, "address_sha256": address, "config_sha256": config}
