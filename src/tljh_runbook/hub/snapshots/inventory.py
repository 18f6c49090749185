"""The contents of ``state/`` and ``config/``: files, databases, links, and what is left out.

Nothing there is skipped silently.  A link is recorded as a link; its target is also part of the
hub, for example if ``jupyterhub_config.d`` is a checkout elsewhere.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from tljh_runbook.hub.core import files, trust
from tljh_runbook.hub.core.layout import Hub

LARGEST = 16 << 20  # bytes; a larger file is neither configuration nor a secret
MOST = 2000  # maximum number of entries in a linked folder
SQLITE = b"SQLite format 3\0"
BESIDE = ("-wal", "-shm", "-journal")  # files that SQLite creates next to a database
ENDINGS = {
    ".lock": "a lock, created again when needed",
    ".log": "a log",
    ".pid": "a process number, wrong after a restart",
}
# JupyterHub's name for the copy it makes before a migration (jupyterhub/dbutil.py).
MIGRATED = re.compile(r".+\.sqlite\.\d{4}-\d\d-\d\d-\d{6}\S*")
KINDS = {stat.S_IFSOCK: "a socket", stat.S_IFIFO: "a pipe"}


@dataclass
class Inventory:
    """Everything that was found. Files and databases: their path, and their name in a snapshot."""

    files: dict[Path, str] = field(default_factory=dict)
    databases: dict[Path, str] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)
    """The path of each link, and its target."""
    folders: dict[str, list[int]] = field(default_factory=dict)
    """Mode, owner and group of each folder below the two, including empty ones."""
    left_out: dict[str, str] = field(default_factory=dict)
    """What is left out on purpose, and why."""
    unread: dict[str, str] = field(default_factory=dict)
    """What should be in the snapshot but can't be read, and why."""


def of(hub: Hub) -> Inventory:
    """Return the contents of the two folders, and of the targets of links in them."""
    trees = (hub.config, hub.state)
    return _Search(Inventory(), tuple(Path(os.path.realpath(each)) for each in trees)).run(trees)


class _Search:
    """A search that adds what it finds to an inventory, and follows each link target once."""

    def __init__(self, found: Inventory, trees: tuple[Path, ...]) -> None:
        self._found = found
        self._trees = trees
        self._followed: set[Path] = set()

    def run(self, trees: tuple[Path, ...]) -> Inventory:
        for tree in trees:
            if tree.is_symlink():
                self._found.links[str(tree)] = os.readlink(tree)  # noqa: PTH115 - as it says
            for path in self._tree(tree):
                self._enter(path, str(Path(tree.name) / path.relative_to(tree)))
        return self._found

    def _enter(self, path: Path, name: str) -> None:
        with suppress(FileNotFoundError):  # the proxy's rules change all the time
            status = path.lstat()
            if stat.S_ISLNK(status.st_mode):
                self._follow(path, name)
            elif stat.S_ISREG(status.st_mode):
                self._sort(path, name, status.st_size)
            elif stat.S_ISDIR(status.st_mode):
                about = [stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid]
                self._found.folders[str(path)] = about
            else:
                self._leave(path, KINDS.get(stat.S_IFMT(status.st_mode), "a device"))

    def _leave(self, path: Path, why: str) -> None:
        self._found.left_out[str(path)] = why

    def _sort(self, path: Path, name: str, size: int) -> None:
        if why := next((why for end, why in ENDINGS.items() if path.name.endswith(end)), ""):
            self._leave(path, why)
        elif MIGRATED.fullmatch(path.name):
            self._leave(path, "a copy that the hub made before a migration")
        elif self._is_database(path):
            self._found.databases[path] = name
        elif any(self._belongs(path, end) for end in BESIDE):
            pass  # its content is in the copy of the database
        elif size > LARGEST:
            self._leave(path, f"larger than {LARGEST >> 20} MB")
        else:
            self._found.files[path] = name

    def _belongs(self, path: Path, end: str) -> bool:
        database = path.with_name(path.name.removesuffix(end))
        return database != path and database.is_file() and self._is_database(database)

    def _is_database(self, path: Path) -> bool:
        try:
            with os.fdopen(files.open_regular(path), "rb") as file:
                return file.read(len(SQLITE)) == SQLITE
        except OSError:  # the copy reports why it can't be read
            return False

    def _follow(self, link: Path, name: str) -> None:
        """Record a link, and add its target unless the search covers that anyway."""
        self._found.links[str(link)] = os.readlink(link)  # noqa: PTH115 - as it says, also //x
        target = Path(os.path.realpath(link))
        if self._is_inside(target) or target in self._followed:
            return
        self._followed.add(target)
        if why := _unsafe(link) or self._unfit(target):
            self._leave(target, f"{link} leads there, but {why}")
        elif target.is_dir():
            self._enter(target, name)
            for path in self._tree(target):
                self._enter_linked(path, str(Path(name) / path.relative_to(target)))
        else:
            self._enter(target, name)

    def _is_inside(self, path: Path) -> bool:
        """Return whether the search covers a path anyway."""
        return any(path.is_relative_to(tree) for tree in self._trees)

    def _unfit(self, target: Path) -> str:
        """Return why the target of a link is not copied, or an empty string."""
        if not target.exists():
            return "nothing is there"
        if target.is_dir() and len(list(islice(self._tree(target), MOST + 1))) > MOST:
            return f"it holds more than {MOST} entries"
        return ""

    def _tree(self, folder: Path) -> Iterator[Path]:
        """Yield everything below a folder without following links; ``.git`` as a single entry."""
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError as error:
            self._cannot_read(folder, error)
            return
        for entry in entries:
            yield folder / entry.name
            if entry.is_dir(follow_symlinks=False) and entry.name != ".git":
                yield from self._tree(folder / entry.name)

    def _cannot_read(self, path: Path, error: OSError) -> None:
        """Record a path that can't be read. Raises ``error`` if root could read it."""
        if isinstance(error, PermissionError) and os.geteuid() != 0:
            raise error
        self._found.unread[str(path)] = error.strerror or str(error)

    def _enter_linked(self, path: Path, name: str) -> None:
        """Add an entry of a linked folder, to which users may have write access."""
        if self._is_inside(path):
            return
        if path.name == ".git":
            self._leave(path, "the history of a checkout")
        elif why := _unsafe(path):
            self._leave(path, why)
        else:
            self._enter(path, name)


def _unsafe(path: Path) -> str:
    try:
        return trust.doubt(path)
    except OSError as error:
        return f"{error.filename or path}: {error.strerror}"
