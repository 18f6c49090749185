"""Files that an administrator added to the users' environment outside of packages.

These include kernels and the settings of Jupyter and its extensions, but not the packages' own
files, which are reinstalled with the packages. Administrators of the hub have write access there,
so no link is followed.
"""

from __future__ import annotations

import csv
import os
import stat
from collections.abc import Iterator
from importlib.metadata import Distribution
from pathlib import Path

from tljh_runbook.hub.core import trust
from tljh_runbook.hub.core.layout import Hub
from tljh_runbook.hub.snapshots import inventory
from tljh_runbook.hub.snapshots.inventory import Inventory
from tljh_runbook.hub.software import user_environment
from tljh_runbook.hub.versions import versions

NAME = "user-environment"  # folder in a snapshot
PLACES = ("etc", "share/jupyter")
# Administrators edit these, even if a package installed them.
EDITED = ("etc/jupyter", "share/jupyter/kernels", "share/jupyter/lab/settings")
LARGEST = inventory.LARGEST  # maximum size of one file in bytes
MOST = 128 << 20  # maximum total size in bytes
MOST_FILES = 2000
WHOLE = "to back it up, set user_data.environment to true"
KINDS = inventory.KINDS


def of(hub: Hub) -> Inventory:
    """Return files, links and folders that belong to no package, and what is left out."""
    users = hub.prefix / "user"
    found = Inventory()
    if any((users / place).exists() for place in PLACES):
        _Search(users, found).run()
    return found


class _Search:
    """A search that adds what it finds to an inventory."""

    def __init__(self, users: Path, found: Inventory) -> None:
        self._users = users
        self._found = found
        self._packaged = _packaged(users)
        self._left = MOST

    def run(self) -> None:
        for place in PLACES:
            for path in self._tree(self._users / place):
                self._enter(path)

    def _tree(self, top: Path) -> Iterator[Path]:
        """Yield everything below a folder except folders, without following links."""
        pending = [top]  # no recursion: folders may be nested deeper than Python's recursion limit
        while pending:
            folder = pending.pop()
            for entry in self._entries(folder):
                if entry.is_dir(follow_symlinks=False):
                    pending.append(folder / entry.name)
                else:
                    yield folder / entry.name

    def _entries(self, folder: Path) -> list[os.DirEntry[str]]:
        try:
            if why := trust.doubt_folder(folder):
                self._found.left_out[str(folder)] = f"{why}; {WHOLE}"
                return []
            return sorted(os.scandir(folder), key=lambda entry: entry.name)
        except FileNotFoundError:
            return []
        except OSError as error:
            self._found.unread[str(folder)] = error.strerror or str(error)
            return []

    def _enter(self, path: Path) -> None:
        name = str(path.relative_to(self._users))
        if name in self._packaged and not name.startswith(tuple(f"{each}/" for each in EDITED)):
            return
        try:
            status = path.lstat()
        except FileNotFoundError:  # deleted meanwhile
            return
        if stat.S_ISLNK(status.st_mode):
            self._found.links[str(path)] = os.readlink(path)  # noqa: PTH115 - as it says
            self._enter_folders(path)
        elif why := self._unfit(status):
            self._found.left_out[str(path)] = why
        else:
            self._found.files[path] = f"{NAME}/{name}"
            self._left -= status.st_size
            self._enter_folders(path)

    def _unfit(self, status: os.stat_result) -> str:
        if not stat.S_ISREG(status.st_mode):
            return KINDS.get(stat.S_IFMT(status.st_mode), "a device")
        if status.st_mode & (stat.S_ISUID | stat.S_ISGID):
            return "it would run with the rights of its owner"
        if status.st_size > LARGEST:
            return f"larger than {LARGEST >> 20} MB; {WHOLE}"
        if status.st_size > self._left or len(self._found.files) >= MOST_FILES:
            return f"more than {MOST >> 20} MB or {MOST_FILES} files besides packages; {WHOLE}"
        return ""

    def _enter_folders(self, path: Path) -> None:
        """Record the parent folders of ``path``, outermost first."""
        for folder in reversed(path.relative_to(self._users).parents):
            about = (self._users / folder).lstat()
            mode = [stat.S_IMODE(about.st_mode), about.st_uid, about.st_gid]
            self._found.folders.setdefault(str(self._users / folder), mode)


def _packaged(users: Path) -> set[str]:
    """Return the files that conda and pip installed, relative to the environment."""
    records = user_environment.conda(users)
    lists = [each["files"] for each in records if isinstance(each.get("files"), list)]
    found = {str(name) for names in lists for name in names}
    for site in (users / "lib").glob("python3.*/site-packages"):
        for _, item in versions.found([site]):
            found |= {
                os.path.relpath(os.path.normpath(site / name), users) for name in _outside(item)
            }
    return found


def _outside(item: Distribution) -> Iterator[str]:
    """Yield the files that pip installed outside of site-packages."""
    try:
        lines = (item.read_text("RECORD") or "").splitlines()
        rows = csv.reader(line for line in lines if line.startswith(("../", '"../')))
        yield from (row[0] for row in rows if row)
    except (OSError, ValueError, csv.Error):
        return
