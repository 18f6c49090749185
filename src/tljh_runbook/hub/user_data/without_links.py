"""Run a command that follows no symbolic links in given folders, whatever users do meanwhile.

`link_guard` runs this as a separate program, with `python -I -c`: it creates a mount namespace in
which the folders are mounted with ``nosymfollow`` (Linux 5.10), and then executes the command.
Links can still be read there, as a backup does. It needs only the standard library.
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
TRIES = 50  # a user may rename the parent folders of a mount in the home
libc = ctypes.CDLL(None, use_errno=True)


def check(result: int, what: str) -> None:
    """Exit with an error message if a system call failed."""
    if result:
        sys.exit(f"{what}: {os.strerror(ctypes.get_errno())}")


def mount(origin: bytes | None, place: bytes, flags: int) -> int:
    """Return 0 if the kernel mounted ``place``, otherwise -1 with errno set."""
    return int(libc.mount(origin, place, None, ctypes.c_ulong(flags), None))


def mounted(place: bytes) -> dict[bytes, list[str]]:
    """Return the options of each mount at or below ``place``; of stacked ones, the topmost."""
    found = {}
    for line in Path("/proc/self/mountinfo").read_bytes().splitlines():
        words = line.split(b" ")
        point = re.sub(rb"\\([0-7]{3})", lambda code: bytes([int(code[1], 8)]), words[4])
        if point == place or point.startswith(place.rstrip(b"/") + b"/"):
            found[point] = words[5].decode().split(",")
    return found


def guard(place: bytes) -> None:
    """Bind-mount a folder on itself so that no links are followed in it and in mounts below it."""
    if not os.path.lexists(place):
        return  # removed meanwhile, so there is nothing to read
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
    """Guard each of the ``places``, then replace this process with ``command``."""
    check(libc.unshare(NEW_MOUNTS), "unshare")
    check(mount(None, b"/", ALL_BELOW | PRIVATE), "private")
    for place in places:
        guard(os.fsencode(place))
    os.execv(command[0], command)  # noqa: S606 - a list of words, and no shell


if __name__ == "__main__":
    end = sys.argv.index("--")
    main(sys.argv[1:end], sys.argv[end + 1 :])
