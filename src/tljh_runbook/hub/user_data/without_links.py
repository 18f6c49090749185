"""Run a program that follows no symbolic link in some folders, whatever users do meanwhile.

`link_guard` runs this as a program of its own, with `python -I -c`: it makes a mount namespace in
which the folders are mounted with ``nosymfollow`` (Linux 5.10), and becomes the program that it was
asked for. Links can still be read there, as a backup does. Only the standard library is needed.
"""

from __future__ import annotations

import ctypes
import os
import re
import sys
from pathlib import Path

NEW_MOUNTS = 0x20000  # CLONE_NEWNS, see unshare(2)
# See mount(2).
NO_SET_ID, NO_DEVICES, NO_PROGRAMS, REMOUNT, NO_LINKS = 2, 4, 8, 32, 256
BIND, ALL_BELOW, PRIVATE = 4096, 16384, 1 << 18
GUARDED = REMOUNT | BIND | NO_LINKS | NO_SET_ID | NO_DEVICES | NO_PROGRAMS
KEPT = {"ro": 1, "noatime": 1024, "nodiratime": 2048, "relatime": 1 << 21}
TRIES = 50  # a user may rename folders above what is mounted in the home
libc = ctypes.CDLL(None, use_errno=True)


def check(result: int, what: str) -> None:
    """End the program where the system has refused something."""
    if result:
        sys.exit(f"{what}: {os.strerror(ctypes.get_errno())}")


def mount(origin: bytes | None, place: bytes, flags: int) -> int:
    """Return 0 where the kernel has mounted it, else -1 and an errno."""
    return int(libc.mount(origin, place, None, ctypes.c_ulong(flags), None))


def mounted(place: bytes) -> dict[bytes, list[str]]:
    """Return the options of each mount at or below a place; of several in one, the topmost."""
    found = {}
    for line in Path("/proc/self/mountinfo").read_bytes().splitlines():
        words = line.split(b" ")
        point = re.sub(rb"\\([0-7]{3})", lambda code: bytes([int(code[1], 8)]), words[4])
        if point == place or point.startswith(place.rstrip(b"/") + b"/"):
            found[point] = words[5].decode().split(",")
    return found


def guard(place: bytes) -> None:
    """Mount a folder on itself, and let no link be followed in it and in what is mounted below."""
    if not os.path.lexists(place):
        return  # removed meanwhile: there is nothing to read
    check(mount(place, place, BIND | ALL_BELOW), "bind")
    for _ in range(TRIES):
        found = mounted(place)
        left = [point for point, options in found.items() if "nosymfollow" not in options]
        if not left:
            return
        for point in left:
            kept = sum(flag for name, flag in KEPT.items() if name in found[point])
            mount(None, point, GUARDED | kept)
    sys.exit(f"links can be followed in {os.fsdecode(left[0])!a}")


def main(places: list[str], command: list[str]) -> None:
    """Become ``command``, with the guard on each of the ``places``."""
    check(libc.unshare(NEW_MOUNTS), "unshare")
    check(mount(None, b"/", ALL_BELOW | PRIVATE), "private")
    for place in places:
        guard(os.fsencode(place))
    os.execv(command[0], command)  # noqa: S606 - a list of words, and no shell


if __name__ == "__main__":
    end = sys.argv.index("--")
    main(sys.argv[1:end], sys.argv[end + 1 :])
