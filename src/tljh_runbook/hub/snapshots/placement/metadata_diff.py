"""Whether an entry of the homes is as it was kept, and how that is put right for a folder."""

from __future__ import annotations

import grp
import os
import pwd
import stat
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

MISSING = "missing"
KIND = "another kind"
DIFFERS = "differs"
OWNER = "another owner or mode"
FOREIGN = "another folder, by its owner or mode"

ACCESS = ("system.posix_acl_access", "system.posix_acl_default")
OWN = "user."


@dataclass(frozen=True)
class Difference:
    """How one entry differs from the staged one; its path is relative to the homes."""

    path: Path
    what: str
    refused: bool = False
    """Whether it stays so, for the reason that ``what`` says."""


def difference(staged: int, live: int, name: str) -> str:
    """Say how the live entry differs from the staged one; nothing when it does not.

    Of two folders only the kind is compared here.  No content is read: who wants a change to go
    unseen must set back size and time, which only the owner can.
    """
    kept = os.stat(name, dir_fd=staged, follow_symlinks=False)
    try:
        found = os.stat(name, dir_fd=live, follow_symlinks=False)
    except FileNotFoundError:
        return MISSING
    if stat.S_IFMT(kept.st_mode) != stat.S_IFMT(found.st_mode):
        return KIND
    if stat.S_ISDIR(kept.st_mode):
        return ""
    if _content(staged, name, kept) != _content(live, name, found):
        return DIFFERS
    return "" if _owner(kept) == _owner(found) else OWNER


def _content(folder: int, name: str, status: os.stat_result) -> object:
    if stat.S_ISREG(status.st_mode):
        return status.st_size, status.st_mtime_ns
    if stat.S_ISLNK(status.st_mode):
        return os.readlink(name, dir_fd=folder)
    return status.st_rdev


def _owner(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)


@dataclass(frozen=True)
class Attributes:
    """What a folder has besides its entries."""

    status: os.stat_result
    extended: dict[str, bytes]

    @classmethod
    def of(cls, folder: int) -> Attributes:
        return cls(os.fstat(folder), _extended(folder))

    @property
    def uid(self) -> int:
        return self.status.st_uid

    def alike(self, other: Attributes) -> bool:
        """Say whether owner, mode, access lists and users' own attributes are the same."""
        mine, others = _owner(self.status), _owner(other.status)
        return mine == others and self.extended == other.extended

    def put_on(self, folder: int) -> None:
        """Make an open folder have these; its time comes last, it is told by the others."""
        now = Attributes.of(folder)
        if not self.alike(now):
            if (now.uid, now.status.st_gid) != (self.uid, self.status.st_gid):
                os.fchown(folder, self.uid, self.status.st_gid)
            for name in now.extended.keys() - self.extended.keys():
                os.removexattr(folder, name)
            for name, value in self.extended.items():
                os.setxattr(folder, name, value)
            os.fchmod(folder, stat.S_IMODE(self.status.st_mode))
        self.put_time_on(folder)

    def put_time_on(self, folder: int) -> None:
        """Set the time of the last change, and no other."""
        now = os.fstat(folder)
        if now.st_mtime_ns != self.status.st_mtime_ns:
            os.utime(folder, ns=(now.st_atime_ns, self.status.st_mtime_ns))

    def is_private_to(self, uid: int) -> bool:
        """Say whether nobody but ``uid`` and root can put another folder below this one."""
        if self.uid not in {0, uid} or self.status.st_mode & stat.S_IWOTH:
            return False
        if not self.status.st_mode & stat.S_IWGRP:
            return True
        # With an access list these bits tell what others named there may do at most.
        return ACCESS[0] not in self.extended and _is_own_group(self.uid, self.status.st_gid)


def _extended(folder: int) -> dict[str, bytes]:
    try:
        names = os.listxattr(folder)
    except OSError:  # the file system knows none
        return {}
    wanted = [name for name in names if name in ACCESS or name.startswith(OWN)]
    return {name: os.getxattr(folder, name) for name in wanted}


@lru_cache(maxsize=10_000)
def _is_own_group(uid: int, gid: int) -> bool:
    """Say whether a group is one that most systems make for each user, with nobody else in it."""
    try:
        person, group = pwd.getpwuid(uid), grp.getgrgid(gid)
    except KeyError:
        return False
    own = person.pw_gid == gid and group.gr_name == person.pw_name
    return own and set(group.gr_mem) <= {person.pw_name}
