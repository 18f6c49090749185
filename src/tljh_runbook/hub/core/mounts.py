"""Current mounts (``/proc/self/mountinfo``), and the mounts that fstab configures."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

MOUNTED = Path("/proc/self/mountinfo")
SPELT = {ord(sign): f"\\{ord(sign):03o}" for sign in " \t\n\\"}  # the escapes in both files


def is_mounted(folder: Path) -> bool:
    """Return whether ``folder`` is itself a mount point.

    `os.path.ismount` does not detect a bind mount from the same disk.
    """
    place = os.path.realpath(folder).translate(SPELT)
    return any(line[4] == place for line in _mounted())


def options(folder: Path) -> list[str]:
    """Return the mount options of the file system that ``folder`` is on."""
    return _mount(folder)[1]


def point(folder: Path) -> Path:
    """Return the mount point of the file system that ``folder`` is on, or would be on."""
    return _mount(folder)[0]


def on_demand(folders: Iterable[Path]) -> bool:
    """Return whether autofs mounts something on access at or below one of ``folders``."""
    places = [Path(_read(line[4])) for line in _mounted() if line[line.index("-") + 1] == "autofs"]
    return any(place.is_relative_to(os.path.realpath(each)) for place in places for each in folders)


def _mount(folder: Path) -> tuple[Path, list[str]]:
    parts = Path(os.path.realpath(folder)).parts
    best: tuple[Path, list[str]] = (Path("/"), [])
    for line in _mounted():
        place = Path(_read(line[4]))
        if place.parts == parts[: len(place.parts)] and len(place.parts) >= len(best[0].parts):
            best = place, line[5].split(",")
    return best


def missing(folder: Path, fstab: Path) -> list[Path]:
    """Return the mount points in fstab at, above or below ``folder`` that are not mounted."""
    return [
        place
        for place in _wanted(fstab)
        if (place == folder or place.is_relative_to(folder) or folder.is_relative_to(place))
        and not is_mounted(place)
    ]


def _wanted(fstab: Path) -> Iterator[Path]:
    with suppress(OSError):
        for line in fstab.read_text(encoding="utf-8", errors="surrogateescape").splitlines():
            fields = line.split()
            if len(fields) > 3 and fields[0][0] != "#" and fields[1].startswith("/"):
                chosen = fields[3].split(",")
                if "noauto" not in chosen and not any("automount" in each for each in chosen):
                    yield Path(_read(fields[1]))


def _mounted() -> Iterator[list[str]]:
    told = MOUNTED.read_text(encoding="utf-8", errors="surrogateescape")
    yield from (line.split(" ") for line in told.splitlines())


def _read(spelt: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), spelt)
