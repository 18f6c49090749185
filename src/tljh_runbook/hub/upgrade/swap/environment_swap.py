"""Environments that change places with those of the live hub: each is known by its inode."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from itertools import count
from pathlib import Path

from tljh_runbook.errors import DiskFailed
from tljh_runbook.hub.core import copies, renames

OLD, NEW = 0, 1
ASIDE = ".aside"  # behind the name of an environment that was put aside
REMOVED = ".removed-"  # before the name of one that is being removed
KEPT = "back"  # below the folder: the old files and databases
Inodes = Mapping[str, tuple[int, int]]
"""The inodes of the old and of the new environment, by its name in the live hub."""


def bring(prefix: Path, folder: Path, environments: Inodes, which: int) -> None:
    """Bring the `OLD` environments or the `NEW` ones to the live hub, if they are not there.

    They come from ``folder``, and what was in their place is put there. Raises `OSError`, and
    `DiskFailed` where an environment is in neither place.
    """
    ours = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    live = os.open(prefix, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        renames.sync(ours)
        for name, inodes in environments.items():
            if _inode(live, name) != inodes[which]:
                _bring(ours, live, name, inodes[which])
        renames.sync(live)
    finally:
        os.close(ours)
        os.close(live)


def _bring(ours: int, live: int, name: str, wanted: int) -> None:
    """Bring one environment to its place; what is there comes to our folder.

    Where the disk cannot exchange them in one moment it takes two, and a kill between them leaves
    the place empty: then the next call finds the wanted one by its inode, under whichever name.
    Whatever has come to the place meanwhile is put aside as well, and nothing is written over.
    Raises `DiskFailed` where the wanted one is not there; then the place is as it was.
    """
    here = _name(ours, wanted)
    if here is None:
        raise DiskFailed(
            f"The environment {name!r} that is to come back is not there any more.",
            hint="Restore the newest snapshot: tljh-runbook restore",
        )
    occupied = _inode(live, name)
    if occupied and here == name and _exchanged(ours, live, name):
        return
    if occupied:
        os.rename(name, _free_name(ours, name), src_dir_fd=live, dst_dir_fd=ours)
    os.rename(here, name, src_dir_fd=ours, dst_dir_fd=live)


def _exchanged(ours: int, live: int, name: str) -> bool:
    try:
        renames.exchange(ours, live, name)
    except OSError as error:
        if error.errno not in renames.UNSUPPORTED:
            raise
        return False
    return True


def _name(folder: int, inode: int) -> str | None:
    return next((name for name in os.listdir(folder) if _inode(folder, name) == inode), None)


def _free_name(folder: int, name: str) -> str:
    """Return a name under which something can be put aside: `name.aside`, or the next one."""
    taken = set(os.listdir(folder))
    return next(each for each in _asides(name) if each not in taken)


def _asides(name: str) -> Iterator[str]:
    yield f"{name}{ASIDE}"
    yield from (f"{name}{ASIDE}-{number}" for number in count(2))


def forget_newer(folder: Path, environments: Inodes) -> None:
    """Remove from ``folder`` all but the old environments, and the files one goes back to.

    Raises `DiskFailed`.
    """
    old = {inodes[OLD] for inodes in environments.values()}
    for path in sorted(folder.iterdir()):
        if path.name != KEPT and path.lstat().st_ino not in old:
            _remove(path)


def _remove(path: Path) -> None:
    """Remove a folder under another name: a kill leaves none by halves under its own."""
    removed = path.with_name(f"{REMOVED}{path.name.removeprefix(REMOVED)}")
    with suppress(OSError):  # a full disk may have no room for the name
        path.rename(removed)
    copies.remove(removed)
    copies.remove(path)


def retain_newer(folder: Path, environments: Inodes) -> bool:
    """Leave in ``folder`` what was replaced by the old environments; say whether there is any.

    Raises `DiskFailed`.
    """
    for path in sorted(folder.iterdir()):
        name = path.name.partition(ASIDE)[0]
        if name not in environments:
            copies.remove(path)
        elif not (folder / name).exists():
            path.rename(folder / name)
    return any(folder.iterdir())


def retain_old(folder: Path, environments: Inodes) -> None:
    """Leave of the environments in ``folder`` only the old ones, each under its own name.

    Raises `DiskFailed`.
    """
    forget_newer(folder, environments)
    for name, inodes in environments.items():
        for path in folder.iterdir():
            if path.lstat().st_ino == inodes[OLD]:
                path.rename(folder / name)


def _inode(folder: int, name: str) -> int:
    try:
        return os.stat(name, dir_fd=folder, follow_symlinks=False).st_ino
    except FileNotFoundError:
        return 0
