"""What a snapshot of restic's holds: listed, and written to a folder."""

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

# Go writes these bits elsewhere than the system does.
_BITS = {1 << 23: stat.S_ISUID, 1 << 22: stat.S_ISGID, 1 << 20: stat.S_ISVTX}
SPECIAL = "*?[\\"
LOST = "\N{REPLACEMENT CHARACTER}"  # stands in a listing for each byte that is no text
SPARSE = (0, 15, 0)  # since then restic writes holes by itself
LARGE = 1 << 20  # bytes: smaller files are not worth looking through for holes


@dataclass(frozen=True)
class Node:
    """A file, folder, link or device in a snapshot; ``mode`` are its permissions.

    ``mtime`` is as restic writes it (RFC 3339).
    """

    path: str
    type: str
    size: int
    mode: int
    uid: int
    gid: int
    mtime: str


def escaped(path: str) -> str:
    """Return the pattern of restic's that stands for exactly this path.

    Where a listing could not show a byte the pattern takes any sign, and may fit siblings too.
    """
    plain = "".join(f"\\{sign}" if sign in SPECIAL else sign for sign in path)
    return plain.replace(LOST, "?")


def shown(name: str) -> str:
    """Return a name as a listing shows it."""
    return "".join(LOST if "\udc80" <= sign <= "\udcff" else sign for sign in name)


def listing(opened: Repository, snapshot_id: str, paths: Iterable[str] = ()) -> Iterator[Node]:
    """Yield all that a snapshot holds in and below ``paths``, everything when there are none."""
    arguments = ["ls", "--recursive", snapshot_id, *paths]
    with closing(restic.stream(opened, *arguments)) as messages:
        for message in messages:
            if message.get("struct_type") == "node" or message.get("message_type") == "node":
                yield _node(message)


def restore(opened: Repository, snapshot_id: str, includes: Iterable[str], target: Path) -> None:
    """Write the paths ``includes`` of a snapshot, all when there are none, below ``target``.

    ``target`` is made, and nobody else may enter it.  What is written is read back and compared.
    Raises what `restic.stream` raises; an error leaves what was written so far.
    """
    target.mkdir(mode=0o700)
    sparse = restic.version() >= SPARSE
    wanted = [word for path in includes for word in ("--include", escaped(path))]
    options = ["--verify", *(["--sparse"] if sparse else [])]
    restic.run(opened, "restore", snapshot_id, "--target", str(target), *options, *wanted)
    target.chmod(0o700)  # restic gives it the mode of the folder that it stands for
    if not sparse:
        _dig_holes(target)


def _dig_holes(target: Path) -> None:
    """Give the room of zeros back to the disk; what is read stays the same."""
    program = shutil.which("fallocate")
    for path in files.walk(target) if program else ():
        with suppress(OSError):  # what cannot be opened stays as it is
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
