"""The contents of a restic snapshot: listing them and restoring them to a folder."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tljh_runbook.hub.core import files
from tljh_runbook.hub.user_data.restic import restic
from tljh_runbook.hub.user_data.restic.restic import Repository

# Go has these mode bits in other positions than the operating system.
_BITS = {1 << 23: stat.S_ISUID, 1 << 22: stat.S_ISGID, 1 << 20: stat.S_ISVTX}
SPECIAL = "*?[\\"
LOST = "\N{REPLACEMENT CHARACTER}"  # replaces each undecodable byte in a listing
SPARSE = (0, 15, 0)  # the first version with ``restic restore --sparse``
LARGE = 1 << 20  # bytes; smaller files are not worth scanning for holes


@dataclass(frozen=True)
class Node:
    """A file, folder, link or device in a snapshot; ``mode`` holds its permission bits.

    ``mtime`` is in restic's format (RFC 3339).
    """

    path: str
    type: str
    size: int
    mode: int
    uid: int
    gid: int
    mtime: str


def escaped(path: str) -> str:
    """Return the restic pattern that matches exactly this path.

    For a byte that a listing cannot show, it matches any character, so it may match siblings too.
    """
    plain = "".join(f"\\{sign}" if sign in SPECIAL else sign for sign in path)
    return plain.replace(LOST, "?")


def shown(name: str) -> str:
    """Return a name as it appears in a listing."""
    return "".join(LOST if "\udc80" <= sign <= "\udcff" else sign for sign in name)


def listing(opened: Repository, snapshot_id: str, paths: Iterable[str] = ()) -> Iterator[Node]:
    """Yield the entries of a snapshot at and below ``paths``; all entries if there are none."""
    arguments = ["ls", "--recursive", snapshot_id, *paths]
    with closing(restic.stream(opened, *arguments)) as messages:
        for message in messages:
            if message.get("struct_type") == "node" or message.get("message_type") == "node":
                yield _node(message)


def restore(opened: Repository, snapshot_id: str, includes: Iterable[str], target: Path) -> None:
    """Write the paths ``includes`` of a snapshot below ``target``; all paths if there are none.

    ``target`` is created, accessible only to its owner. The files are read back and verified.
    Raises what `restic.stream` raises; after an error, what was written so far stays.
    """
    target.mkdir(mode=0o700)
    sparse = restic.version() >= SPARSE
    wanted = [word for path in includes for word in ("--include", escaped(path))]
    options = ["--verify", *(["--sparse"] if sparse else [])]
    restic.run(opened, "restore", snapshot_id, "--target", str(target), *options, *wanted)
    target.chmod(0o700)  # restic sets it to the mode of the original folder
    if not sparse:
        _dig_holes(target)


def _dig_holes(target: Path) -> None:
    """Deallocate blocks of zeros to free disk space; the contents stay the same."""
    program = shutil.which("fallocate")
    for path in files.walk(target) if program else ():
        with suppress(OSError):  # leave a file that cannot be opened as it is
            status = path.lstat()
            if stat.S_ISREG(status.st_mode) and status.st_size >= LARGE:
                _dig(str(program), path, status)


def _dig(program: str, path: Path, status: os.stat_result) -> None:
    descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        command = [program, "--dig-holes", f"/proc/self/fd/{descriptor}"]
        subprocess.run(command, pass_fds=[descriptor], capture_output=True, check=False)
        os.utime(descriptor, ns=(status.st_atime_ns, status.st_mtime_ns))
    finally:
        os.close(descriptor)


def _node(message: dict[str, Any]) -> Node:
    return Node(
        path=message["path"],
        type=message["type"],
        size=message.get("size", 0),
        mode=_mode(message.get("mode", 0)),
        uid=message.get("uid", 0),
        gid=message.get("gid", 0),
        mtime=message.get("mtime", ""),
    )


def _mode(mode: int) -> int:
    return mode & 0o777 | sum(own for theirs, own in _BITS.items() if mode & theirs)
