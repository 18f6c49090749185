"""The swap of the live environments; each environment is identified by its inode."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from itertools import count
from pathlib import Path

from tljh_runbook.errors import DiskFailed
from tljh_runbook.hub.core import copies, renames

OLD, NEW = 0, 1
ASIDE = ".aside"  # suffix of an environment that was moved aside
REMOVED = ".removed-"  # prefix of an environment that is being removed
KEPT = "back"  # subfolder with the old files and databases
Inodes = Mapping[str, tuple[int, int]]
"""The inodes of the old and the new environment, by the name in the live hub."""


def bring(prefix: Path, folder: Path, environments: Inodes, which: int) -> None:
    """Make the `OLD` or the `NEW` environments live, unless they already are.

    They come from ``folder``, and those that they replace are moved there. Raises `OSError`, and
    `DiskFailed` if an environment is in neither place.
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
    """Make one environment live, and move the one that it replaces to our folder.

    A file system that cannot exchange them atomically needs two renames, and a kill between them
    leaves no live environment: the next call then finds the wanted one by its inode, under any
    name. An environment that was created there meanwhile is also moved aside, and nothing is
    overwritten. Raises `DiskFailed` if the wanted one is missing; then nothing is changed.
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
    """Return a free name for moving something aside: `name.aside`, or a numbered variant."""
    taken = set(os.listdir(folder))
    return next(each for each in _asides(name) if each not in taken)


def _asides(name: str) -> Iterator[str]:
    yield f"{name}{ASIDE}"
    yield from (f"{name}{ASIDE}-{number}" for number in count(2))


def forget_newer(folder: Path, environments: Inodes) -> None:
    """Remove everything from ``folder`` except the old environments, files and databases.

    Raises `DiskFailed`.
    """
    old = {inodes[OLD] for inodes in environments.values()}
    for path in sorted(folder.iterdir()):
        if path.name != KEPT and path.lstat().st_ino not in old:
            _remove(path)


def _remove(path: Path) -> None:
    """Remove a folder, renamed first: a kill must not leave a partial one under its own name."""
    removed = path.with_name(f"{REMOVED}{path.name.removeprefix(REMOVED)}")
    with suppress(OSError):  # a full disk may have no space for the rename
        path.rename(removed)
    copies.remove(removed)
    copies.remove(path)


def retain_newer(folder: Path, environments: Inodes) -> bool:
    """Retain in ``folder`` only what the old environments replaced; return whether there is any.

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
    """Retain in ``folder`` only the old environments, each under its own name.

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
