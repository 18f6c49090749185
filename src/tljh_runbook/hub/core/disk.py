"""Detection of a full disk, which is reported by its mount point.

A step writes to several disks, and a failing program names one of its own files at best. So the
disks that the step writes to are compared, and the one with the least free space is named.
"""

from __future__ import annotations

import errno
import os
import re
import shlex
from contextlib import suppress
from pathlib import Path

from tljh_runbook.errors import NoSpace
from tljh_runbook.hub.core import mounts

ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
# The messages of the C library, pip and SQLite.
WORDS = re.compile(r"No space left on device|Disk quota exceeded|database or disk is full", re.I)
LITTLE = 1 << 20  # bytes; with less free space nothing works


def full(state: str, *places: Path, then: str = "run the same command again") -> NoSpace:
    """Return the error for a full disk among those that hold ``places``.

    ``state`` says what state things are in, ``then`` what to do once there is space.
    """
    place = fullest(*places)
    return NoSpace(
        f"The disk that holds {_printed(place)} is full: it is mounted at "
        f"{_printed(mounts.point(place))}. {state}",
        hint=(
            f"See how much room there is: df -h {shlex.quote(_printed(_there(place)))}",
            f"Free some, then {then}",
        ),
    )


def fullest(*places: Path) -> Path:
    """Return the place whose disk has the least free space."""
    return min(places, key=free)


def free(place: Path) -> int:
    """Return the free bytes on a place's disk; 0 if it has no free inodes."""
    about = os.statvfs(_there(place))
    if about.f_files and not about.f_favail:
        return 0
    return about.f_bavail * about.f_frsize


def blamed(text: str, *places: Path) -> str:
    """Return a sentence that names the fullest disk if ``text`` reports a full one, otherwise ''.

    The program may have freed its space by now, so the sentence only reports the free space.
    """
    if not WORDS.search(text):
        return ""
    place = fullest(*places)
    return (
        f" The least room is on the disk mounted at {_printed(mounts.point(place))}, which holds "
        f"{_printed(place)}: {free(place) >> 20} MB."
    )


def noticed(*places: Path) -> str:
    """Return a sentence that names a disk that is full now, otherwise ''."""
    place = fullest(*places)
    if free(place) >= LITTLE:
        return ""
    return (
        f" The disk mounted at {_printed(mounts.point(place))}, which holds {_printed(place)}, is "
        "full."
    )


def _printed(path: Path) -> str:
    """Return a path in printable form: its name may contain bytes that are not valid text."""
    return os.fsencode(path).decode(errors="backslashreplace")


def _there(place: Path) -> Path:
    """Return a place, or the closest parent that exists."""
    for each in (place, *place.parents):
        with suppress(OSError):
            if each.exists():
                return each
    return Path("/")
