"""The disk that is full: named by where it is mounted, whichever file did not fit.

A step writes to several disks, and a program that fails names a file of its own at best. So the
disks that the step writes to are compared, and the one with the least room is named.
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
# As the C library, pip and SQLite say it.
WORDS = re.compile(r"No space left on device|Disk quota exceeded|database or disk is full", re.I)
LITTLE = 1 << 20  # bytes: with less than that nothing works


def full(state: str, *places: Path, then: str = "run the same command again") -> NoSpace:
    """Return what to say when something did not fit on the disk of one of the ``places``.

    ``state`` says what state things are in, ``then`` what to do when there is room.
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
    """Return the place on whose disk there is the least room."""
    return min(places, key=free)


def free(place: Path) -> int:
    """Return how many bytes are free on a place's disk; 0 where it takes no more files."""
    about = os.statvfs(_there(place))
    if about.f_files and not about.f_favail:
        return 0
    return about.f_bavail * about.f_frsize


def blamed(text: str, *places: Path) -> str:
    """Return a sentence that names the disk where ``text`` says that one is full, else ''.

    The program may have freed its room by now, so the size is told, and not judged.
    """
    if not WORDS.search(text):
        return ""
    place = fullest(*places)
    return (
        f" The least room is on the disk mounted at {_printed(mounts.point(place))}, which holds "
        f"{_printed(place)}: {free(place) >> 20} MB."
    )


def noticed(*places: Path) -> str:
    """Return a sentence that names a disk which is full now, else ''."""
    place = fullest(*places)
    if free(place) >= LITTLE:
        return ""
    return (
        f" The disk mounted at {_printed(mounts.point(place))}, which holds {_printed(place)}, is "
        "full."
    )


def _printed(path: Path) -> str:
    """Return a path as it can be printed: its name may hold bytes that are no text."""
    return os.fsencode(path).decode(errors="backslashreplace")


def _there(place: Path) -> Path:
    """Return the closest folder above a place that is there, or the place itself."""
    for each in (place, *place.parents):
        with suppress(OSError):
            if each.exists():
                return each
    return Path("/")
