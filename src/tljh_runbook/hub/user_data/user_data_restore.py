"""Restore of users' files: find what is missing, stage it next to the homes, move it there."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tljh_runbook.errors import (
    AccountConflict,
    NoSpace,
    NotKept,
    RepositoryDamaged,
    RepositoryForeign,
    RepositoryLocked,
    RepositoryUnreachable,
    ToolMissing,
)
from tljh_runbook.hub.accounts import accounts
from tljh_runbook.hub.context import Source
from tljh_runbook.hub.core import files
from tljh_runbook.hub.snapshots.manifest import Manifest
from tljh_runbook.hub.snapshots.placement import placing, private_folder
from tljh_runbook.hub.snapshots.placement.placing import Placement
from tljh_runbook.hub.snapshots.restoration import Action, Restoration
from tljh_runbook.hub.user_data.restic import repository, tree
from tljh_runbook.hub.user_data.restic.restic import Repository
from tljh_runbook.hub.user_data.restic.tree import Node
from tljh_runbook.hub.user_data.survey import Survey, Wanted

RESERVE = 64 << 20  # bytes that a restore always leaves free on the users' disk
INCLUDES = 200  # paths passed to restic one by one; above that, the folders directly below the root
UNUSABLE = (
    RepositoryDamaged,
    RepositoryForeign,
    RepositoryLocked,
    RepositoryUnreachable,
    ToolMissing,
)
ALONE = "The newest that holds them is taken by: tljh-runbook restore user-data"
NAMED = 3  # paths listed in the plan


def actions(restoration: Restoration, kept: dict[str, Any]) -> Iterator[Action]:
    """Yield an action for each backed-up folder that differs from the snapshot.

    Raises `NotKept` if the snapshot has no user data, and what `repository.opened` raises.
    """
    if not kept["kept"] and not restoration.missing_only:
        raise NotKept(
            f"The snapshot {restoration.kept.path.name} holds no user data: {kept['note']}",
            hint="Choose another of the snapshots: tljh-runbook snapshots",
        )
    if not kept["kept"]:
        restoration.notes.append(f"Users' files are not in this snapshot. {ALONE}")
        return
    try:
        yield from _actions(restoration, kept, repository.opened(restoration.source))
    except UNUSABLE as error:
        if not restoration.missing_only:
            raise
        # The hub itself is restored anyway.
        restoration.notes.append(f"Users' files are not restored. {error.message} {error.advice}")


def _actions(
    restoration: Restoration, kept: dict[str, Any], opened: Repository
) -> Iterator[Action]:
    for root in map(Path, kept["paths"]):
        asked = _asked(restoration, root)
        if not asked:
            continue
        nodes = _listed(opened, kept["snapshot"], asked)
        with Survey(root, missing_only=restoration.missing_only) as survey:
            found = list(survey.run(nodes))
        if found:
            _refuse_strangers(restoration, kept, found)
            folder = FolderRestore(restoration, opened, kept["snapshot"], root, found)
            yield folder.action()


def _listed(opened: Repository, snapshot: str, asked: list[Path]) -> Iterator[Node]:
    """Yield a snapshot's entries at and below the paths. Raises `NotKept` if there are none."""
    nothing = True
    for node in tree.listing(opened, snapshot, map(str, asked)):
        nothing = False
        yield node
    if nothing:
        named = ", ".join(ascii(str(path)) for path in asked)
        raise NotKept(
            f"The snapshot does not hold {named}. Nothing was changed.",
            hint="Was it left out on purpose? See the setting user_data.exclude. To look at what "
            "there is, write a home into a folder: --into DIR",
        )


def require(source: Source, kept: Manifest, paths: Iterable[Path]) -> None:
    """Raise `NotKept` unless a snapshot has entries for each path in a backed-up folder."""
    details = kept.components["user-data"]
    for path in paths:
        if any(path.is_relative_to(folder) for folder in details.get("paths", [])):
            opened = repository.opened(source)
            next(iter(_listed(opened, details["snapshot"], [path])), None)


def write_out(restoration: Restoration, kept: dict[str, Any], folder: Path) -> None:
    """Write users' files to a new folder, under their full original paths."""
    opened = repository.opened(restoration.source)
    wanted = list(restoration.paths) or list(map(Path, kept["paths"]))
    for _ in _listed(opened, kept["snapshot"], wanted):
        break
    tree.restore(opened, kept["snapshot"], map(str, wanted), folder)


@dataclass(frozen=True)
class FolderRestore:
    """The restore of one backed-up folder, usually the folder of home directories."""

    restoration: Restoration
    opened: Repository
    snapshot: str
    """The restic snapshot's ID."""
    root: Path
    wanted: list[Wanted]
    times: list[int] = field(default_factory=list)
    """The mtime of ``root`` in nanoseconds, once staging has started."""

    @property
    def staged(self) -> Path:
        return self.root / private_folder.NAME / f"staged-{self.restoration.moment}"

    @property
    def replaced(self) -> Path:
        return self.root / private_folder.NAME / f"replaced-{self.restoration.moment}"

    def action(self) -> Action:
        return Action(
            what=str(self.root),
            before=_summary(self.wanted),
            after="as kept",
            prepare=self.stage,
            discard=self.discard,
            carry_out=self.place,
            replaced=self.replaced,
        )

    def stage(self) -> None:
        """Have restic write the wanted files next to the homes and verify them."""
        if not self.root.exists():
            files.make_private(self.root.parent)
            self.root.mkdir(mode=0o755)
        self._require_room()
        self.times.append(self.root.stat().st_mtime_ns)
        # We hold the hub's lock, so these are leftovers of a killed run.
        for left in private_folder.make_work(self.root).glob("staged-*"):
            private_folder.clean(left)
        tree.restore(self.opened, self.snapshot, self._includes(), self.staged)

    def place(self) -> None:
        """Move the staged files into place; what they replace is retained."""
        asked = tuple(_real(self.staged, each.path) for each in self.wanted)
        placement = Placement(
            self.staged, self.root, self.root, asked, self.restoration.missing_only
        )
        placing.place(placement, self.replaced, self.restoration.say)

    def discard(self) -> None:
        private_folder.clean(self.staged)
        with suppress(OSError):  # not empty if it retains replaced files
            self.staged.parent.rmdir()
        for mtime_ns in self.times:  # our own folder changed the mtime
            os.utime(self.root, ns=(self.root.stat().st_atime_ns, mtime_ns))

    def _includes(self) -> list[str]:
        paths = [str(each.path) for each in self.wanted]
        if len(paths) <= INCLUDES:
            return paths
        tops = {each.path.relative_to(self.root).parts[:1] for each in self.wanted}
        return sorted(str(self.root.joinpath(*parts)) for parts in tops)

    def _require_room(self) -> None:
        needed = sum(each.size for each in self.wanted) + RESERVE
        free = shutil.disk_usage(self.root).free
        if free < needed:
            raise NoSpace(
                f"The disk that holds {self.root} has {free >> 20} MB free; restoring needs "
                f"{needed >> 20} MB. Nothing was changed.",
                hint="Free some room, or restore less at a time: a user, or a path.",
            )


def _refuse_strangers(restoration: Restoration, kept: dict[str, Any], wanted: list[Wanted]) -> None:
    """Raise `AccountConflict` if a home's account has a different UID than its saved files."""
    root = restoration.source.hub.root
    now = {root / each.home.lstrip("/"): each for each in accounts.read(root).users.values()}
    for user, home in kept["homes"].items():
        account, owner = now.get(Path(home)), kept["owners"][user]
        touched = any(each.path.is_relative_to(home) for each in wanted)
        if touched and account and account.uid != owner:
            raise AccountConflict(
                f"The files of {user} were kept with the owner {owner}, and the account "
                f"{account.name} has the number {account.uid} now. Nothing was changed.",
                hint=f"Restore into a folder (--into DIR), give the files to {account.name} with "
                "chown, and copy them from there.",
            )


def _asked(restoration: Restoration, root: Path) -> list[Path]:
    """Return the paths to restore in a backed-up folder; the folder itself without a request."""
    if not restoration.paths:
        return [root]
    if any(root.is_relative_to(path) for path in restoration.paths):
        return [root]
    return [path for path in restoration.paths if path.is_relative_to(root)]


def _summary(wanted: list[Wanted]) -> str:
    """Return what differs from the snapshot: how many entries, and the first of them."""
    kinds: dict[str, list[str]] = {}
    for each in wanted:
        kinds.setdefault(each.what, []).append(str(each.path))
    return "; ".join(_named(what, paths) for what, paths in kinds.items())


def _named(what: str, paths: list[str]) -> str:
    more = f" and {len(paths) - NAMED} more" if len(paths) > NAMED else ""
    return f"{what}: {', '.join(paths[:NAMED])}{more}"


def _real(staged: Path, path: Path) -> Path:
    """Return a path's real name: a listing replaces bytes that cannot be decoded."""
    if tree.LOST not in str(path):
        return path
    found = staged
    for part in path.parts[1:]:
        found = found / _fitting(os.listdir(found), part)  # noqa: PTH208 - names, not paths
    return Path("/") / found.relative_to(staged)


def _fitting(names: Iterable[str], shown: str) -> str:
    return next((name for name in names if tree.shown(name) == shown), shown)
