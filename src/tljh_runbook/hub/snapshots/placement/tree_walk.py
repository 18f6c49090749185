"""A simultaneous walk down two trees: the staged files and the homes of active users.

Users can move folders or replace them with links while the walk is inside.  So each folder is
opened relative to its parent, never through a link, and all operations use the open descriptor.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from tljh_runbook.hub.snapshots.placement.metadata_diff import Attributes
from tljh_runbook.hub.snapshots.placement.private_folder import FOLDER, NAME, names

ELSEWHERE = "on another disk"
HELD = 64  # levels whose folders stay open; deeper down only the current one does


class Refused(Exception):
    """One entry can't be restored; the others can."""


@dataclass
class Pair:
    """The same folder in both trees, open."""

    staged: int
    live: int

    @classmethod
    def below(cls, above: Pair, name: str) -> Pair:
        """Open a folder in both trees, or in neither."""
        staged = os.open(name, FOLDER, dir_fd=above.staged)
        try:
            return cls(staged, os.open(name, FOLDER, dir_fd=above.live))
        except OSError:
            os.close(staged)
            raise

    def close(self) -> None:
        for folder in (self.staged, self.live):
            os.close(folder)


@dataclass
class Level:
    """A folder that the walk is in, with its attributes at the time the walk entered it."""

    parts: tuple[str, ...]
    folders: Pair
    asked: bool
    """Whether the folder itself is restored, and is not only a parent of a selected path."""
    kept: Attributes = field(init=False)
    found: Attributes = field(init=False)
    waiting: Iterator[str] = field(init=False)
    touched: bool = False
    held: bool = True

    def __post_init__(self) -> None:
        self.kept = Attributes.of(self.folders.staged)
        self.found = Attributes.of(self.folders.live)
        self.waiting = iter(sorted(names(self.folders.staged)))

    def is_same(self, folders: Pair) -> bool:
        """Return whether these are the folders this level was created from."""
        pairs = ((self.kept, folders.staged), (self.found, folders.live))
        return all(_identity(was.status) == _identity(os.fstat(now)) for was, now in pairs)


def _identity(status: os.stat_result) -> tuple[int, int, int]:
    # The owner as well, because inode numbers are reused.
    return status.st_dev, status.st_ino, status.st_uid


class Descent:
    """The position of the walk in both trees: the levels from the root down."""

    def __init__(self, root: Pair, asked: frozenset[tuple[str, ...]]) -> None:
        self._asked = asked
        self._mount = mount(root.live)
        self._levels = [Level((), root, asked=() in asked)]
        self._levels[0].waiting = (name for name in self._levels[0].waiting if name != NAME)

    def __bool__(self) -> bool:
        return bool(self._levels)

    @property
    def level(self) -> Level:
        """The current level."""
        return self._levels[-1]

    @property
    def is_root(self) -> bool:
        return len(self._levels) == 1

    def parts(self, *names: str) -> tuple[str, ...]:
        """Return the path of the current level, or of one of its entries."""
        return (*self.level.parts, *names)

    def is_asked(self, name: str) -> bool:
        return self.level.asked or self.parts(name) in self._asked

    def look_below(self, name: str) -> Level:
        """Open the next level without entering it.

        Raises `OSError` if it is no longer a folder, `Refused` if it is on another disk.
        """
        folders = Pair.below(self.level.folders, name)
        try:
            self._check_mount(folders.live)
            return Level(self.parts(name), folders, self.is_asked(name))
        except BaseException:
            folders.close()
            raise

    def _check_mount(self, folder: int) -> None:
        if mount(folder) != self._mount:
            raise Refused(ELSEWHERE)

    def enter(self, level: Level) -> None:
        if len(self._levels) > HELD:
            self.level.folders.close()
            self.level.held = False
        self._levels.append(level)

    def leave(self) -> None:
        """Go up one level.

        Raises `Refused` if the parent folder was moved meanwhile; the walk then continues in the
        nearest level above that is still open.
        """
        left = self._levels.pop()
        try:
            if self._levels and not self.level.held:
                self._open_again(left.folders)
        finally:
            left.folders.close()

    def _open_again(self, below: Pair) -> None:
        with suppress(OSError):
            folders = Pair.below(below, "..")
            if self.level.is_same(folders):
                self.level.folders, self.level.held = folders, True
                return
            folders.close()
        while not self.level.held:
            self._levels.pop()
        raise Refused("moved while it was restored")

    def close(self) -> None:
        for level in self._levels:
            if level.held:
                level.folders.close()
        self._levels.clear()


def mount(folder: int) -> tuple[int, str]:
    """Return the device and mount ID, which identify a file system and its mount point."""
    try:
        about = Path(f"/proc/self/fdinfo/{folder}").read_text(encoding="ascii")
    except FileNotFoundError:  # no /proc: the rename fails later instead
        about = ""
    number = next((line for line in about.splitlines() if line.startswith("mnt_id:")), "")
    return os.fstat(folder).st_dev, number


def is_lost(error: OSError) -> bool:
    """Return whether an entry was replaced between our check and our operation."""
    return error.errno in {
        errno.ENOENT,
        errno.ENOTDIR,
        errno.ELOOP,
        errno.EEXIST,
        errno.ENOTEMPTY,
        errno.EINVAL,  # no longer a link
        errno.ENODATA,  # attribute removed meanwhile
    }
