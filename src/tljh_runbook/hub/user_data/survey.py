"""Comparison of users' files with a snapshot by their metadata, without following links."""

from __future__ import annotations

import calendar
import os
import stat
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tljh_runbook.hub.snapshots.placement.metadata_diff import DIFFERS, KIND, MISSING, OWNER
from tljh_runbook.hub.user_data.restic import tree
from tljh_runbook.hub.user_data.restic.tree import Node

KINDS = {
    "dir": stat.S_ISDIR,
    "file": stat.S_ISREG,
    "symlink": stat.S_ISLNK,
    "fifo": stat.S_ISFIFO,
    "socket": stat.S_ISSOCK,
    "dev": stat.S_ISBLK,
    "chardev": stat.S_ISCHR,
}
FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass
class Wanted:
    """An entry to restore, with everything below it; ``size`` in bytes."""

    path: Path
    what: str
    size: int = 0


class Survey:
    """Comparison of a snapshot's listing with the folder that was backed up.

    Every folder is opened relative to its parent and never through a link. A listing names a
    folder before its contents, so the open folders are the parents of the current entry.
    """

    def __init__(self, root: Path, *, missing_only: bool) -> None:
        self._root = root
        self._missing_only = missing_only
        self._open: list[tuple[Path, int]] = []

    def __enter__(self) -> Survey:
        return self

    def __exit__(self, *_: object) -> None:
        self._leave(0)

    def run(self, nodes: Iterable[Node]) -> Iterator[Wanted]:
        """Yield entries that differ from the snapshot; a missing folder includes its contents."""
        whole: Wanted | None = None
        for node in nodes:
            path = Path(node.path)
            if whole and path.is_relative_to(whole.path):
                whole.size += node.size
                continue
            if whole:
                yield whole
            whole = self._look(path, node)
        if whole:
            yield whole

    def _look(self, path: Path, node: Node) -> Wanted | None:
        """Compare one entry; the parent folders of the root are skipped."""
        if not path.is_relative_to(self._root):
            return None
        what = self._difference(path, node)
        if what and (what == MISSING or not self._missing_only):
            return Wanted(path, what, node.size)
        return None

    def _difference(self, path: Path, node: Node) -> str:
        folder = None if path == self._root else self._folder(path.parent)
        if folder is None and path != self._root:
            return "" if self._missing_only else f"its folder is of {KIND}"
        try:
            name = str(path) if folder is None else _name(folder, path.name)
            status = os.stat(name, dir_fd=folder, follow_symlinks=False)
        except FileNotFoundError:
            return MISSING
        what = _differs(status, node)
        return "" if what == OWNER and path == self._root else what

    def _folder(self, path: Path) -> int | None:
        """Return a folder's descriptor, with its parents open; None if one cannot be opened."""
        while self._open and not path.is_relative_to(self._open[-1][0]):
            self._leave(len(self._open) - 1)
        try:
            if not self._open:
                self._open.append((self._root, os.open(self._root, FOLDER)))
            for part in path.relative_to(self._open[-1][0]).parts:
                above, descriptor = self._open[-1]
                below = os.open(_name(descriptor, part), FOLDER, dir_fd=descriptor)
                self._open.append((above / part, below))
        except OSError:
            return None
        return self._open[-1][1]

    def _leave(self, depth: int) -> None:
        while len(self._open) > depth:
            os.close(self._open.pop()[1])


def _name(folder: int, shown: str) -> str:
    """Return the real name of an entry in a listing."""
    if tree.LOST not in shown:
        return shown
    return next((name for name in os.listdir(folder) if tree.shown(name) == shown), shown)


def _differs(status: os.stat_result, node: Node) -> str:
    """Return how an entry differs from the saved one; a folder's mtime is not compared."""
    if not KINDS[node.type](status.st_mode):
        return KIND
    if node.type == "file" and (status.st_size, status.st_mtime_ns) != (node.size, _ns(node.mtime)):
        return DIFFERS
    if node.type == "symlink" and status.st_mtime_ns != _ns(node.mtime):
        return DIFFERS
    mode = 0o777 if node.type == "symlink" else node.mode
    same = (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (
        node.uid,
        node.gid,
        mode,
    )
    return "" if same else OWNER


def _ns(moment: str) -> int:
    """Return a time in restic's format (RFC 3339, up to nine decimals) as ns since 1970."""
    date, rest = moment[:19], moment[19:]
    seconds = calendar.timegm(time.strptime(date, "%Y-%m-%dT%H:%M:%S"))
    fraction, zone = rest, "Z"
    for sign in "+-Z":
        if sign in rest:
            fraction, zone = rest[: rest.index(sign)], rest[rest.index(sign) :]
    offset = 0
    if zone != "Z":
        hours, minutes = zone[1:].split(":")
        offset = (int(hours) * 3600 + int(minutes) * 60) * (1 if zone[0] == "+" else -1)
    digits = fraction.lstrip(".").ljust(9, "0")
    return (seconds - offset) * 10**9 + int(digits)
