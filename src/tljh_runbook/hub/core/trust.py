"""Checks that a path is safe for root, because no other user can replace any part of it."""

from __future__ import annotations

import os
import stat
from collections import deque
from pathlib import Path

LINKS = 40  # the kernel's limit


def doubt(path: Path) -> str:
    """Return why ``path`` is unsafe for root to open; '' if no other user can replace it.

    Root must own every folder and link on the path, and no folder may be writable by others, unless
    it is sticky like /tmp. For any other user the result is '': a replaced path can only lead them
    to files that they may access anyway.
    """
    return "" if os.geteuid() != 0 else _walk(path)


def doubt_folder(folder: Path) -> str:
    """Return why ``folder`` is unsafe for root to write in, by the same rules, or ''."""
    if os.geteuid() != 0:
        return ""
    return _walk(folder) or _open_to_others(folder.resolve())


def doubt_new(folder: Path) -> str:
    """Return why ``folder`` is unsafe for root to create and write in, or ''; it may exist."""
    there = next(each for each in (folder, *folder.parents) if os.path.lexists(each))
    return doubt_folder(there)


def is_open(folder: Path) -> bool:
    """Return whether anyone but root can replace the contents of ``folder``."""
    return folder.exists() and bool(_open_to_others(folder))


def _walk(path: Path) -> str:
    left, at, links = deque(path.parts[1:]), Path("/"), 0
    while left:
        if reason := _open_to_others(at):
            return reason
        part = left.popleft()
        if part == "..":
            at = at.parent
            continue
        status = (at / part).lstat()
        if not stat.S_ISLNK(status.st_mode):
            at /= part
            continue
        links += 1
        if status.st_uid != 0:
            return f"the link {at / part} is not root's"
        if links > LINKS:
            return f"{path} is a link to itself"
        target = (at / part).readlink()
        at = Path("/") if target.is_absolute() else at
        left.extendleft(reversed([each for each in target.parts if each != "/"]))
    return ""


def _open_to_others(folder: Path) -> str:
    status = folder.lstat()
    if status.st_uid != 0:
        return f"the folder {folder} is not root's"
    if status.st_mode & 0o022 and not status.st_mode & stat.S_ISVTX:
        return f"others may write to the folder {folder}"
    return ""
