"""Comparison of entries with their backup by metadata, and the restore of folder attributes."""

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
    """How one entry differs from the staged one; the path is relative to the homes."""

    path: Path
    what: str
    refused: bool = False
    """Whether it can't be restored; ``what`` gives the reason."""


def difference(staged: int, live: int, name: str) -> str:
    """Return how the live entry differs from the staged one, or an empty string.

    Of two folders, only the type is compared.  File contents are not read: to hide a change,
    someone would have to reset size and mtime, which only the owner can do.
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
    """The attributes of a folder."""

    status: os.stat_result
    extended: dict[str, bytes]

    @classmethod
    def of(cls, folder: int) -> Attributes:
        return cls(os.fstat(folder), _extended(folder))

    @property
    def uid(self) -> int:
        return self.status.st_uid

    def alike(self, other: Attributes) -> bool:
        """Return whether owner, mode, ACLs and ``user.*`` attributes are the same."""
        mine, others = _owner(self.status), _owner(other.status)
        return mine == others and self.extended == other.extended

    def put_on(self, folder: int) -> None:
        """Apply these to an open folder; mtime last because the other changes may affect it."""
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
        """Set only the mtime."""
        now = os.fstat(folder)
        if now.st_mtime_ns != self.status.st_mtime_ns:
            os.utime(folder, ns=(now.st_atime_ns, self.status.st_mtime_ns))

    def is_private_to(self, uid: int) -> bool:
        """Return whether only ``uid`` and root can put another folder into this one."""
        if self.uid not in {0, uid} or self.status.st_mode & stat.S_IWOTH:
            return False
        if not self.status.st_mode & stat.S_IWGRP:
            return True
        # With an ACL, the group bits are the mask: the most that any user or group in it may do.
        return ACCESS[0] not in self.extended and _is_own_group(self.uid, self.status.st_gid)


def _extended(folder: int) -> dict[str, bytes]:
    try:
        names = os.listxattr(folder)
    except OSError:  # not supported by the file system
        return {}
    wanted = [name for name in names if name in ACCESS or name.startswith(OWN)]
    return {name: os.getxattr(folder, name) for name in wanted}


@lru_cache(maxsize=10_000)
def _is_own_group(uid: int, gid: int) -> bool:
    """Return whether a group is a user private group, with no other members."""
    try:
        person, group = pwd.getpwuid(uid), grp.getgrgid(gid)
    except KeyError:
        return False
    own = person.pw_gid == gid and group.gr_name == person.pw_name
    return own and set(group.gr_mem) <= {person.pw_name}
