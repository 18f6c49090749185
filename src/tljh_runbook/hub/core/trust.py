"""Whether a path can lead root astray: what another user may exchange is not followed."""

from __future__ import annotations

import os
import stat
from collections import deque
from pathlib import Path

LINKS = 40  # as the kernel follows at most


def doubt(path: Path) -> str:
    """Return why root should not open ``path``; nothing when nobody else can exchange it.

    Each folder and each link on the way must be root's, and no folder open to others, unless it
    is sticky as /tmp is.  Who is not root can be led to nothing but what is his own.
    """
    return "" if os.geteuid() != 0 else _walk(path)


def doubt_folder(folder: Path) -> str:
    """Return why root should not write in ``folder``, for the same reasons."""
    if os.geteuid() != 0:
        return ""
    return _walk(folder) or _open_to_others(folder.resolve())


def doubt_new(folder: Path) -> str:
    """Return why root should not make ``folder`` and write in it; it may be there already."""
    there = next(each for each in (folder, *folder.parents) if os.path.lexists(each))
    return doubt_folder(there)


def is_open(folder: Path) -> bool:
    """Say whether anyone but root can exchange what is in ``folder``."""
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
