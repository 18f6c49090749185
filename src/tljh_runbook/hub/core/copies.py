"""Copies of whole folders, and a fingerprint that shows whether the original has changed."""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from tljh_runbook.errors import DiskFailed
from tljh_runbook.hub.core import disk, renames

FICLONE = 0x40049409  # clones a file with a reflink: see ioctl_ficlone(2)
BLOCK = 512  # bytes per unit of ``st_blocks``


def copy(origin: Path, target: Path) -> None:
    """Copy a folder with all file attributes, using reflinks where the file system supports them.

    Raises `NoSpace` or `DiskFailed`, after removing an incomplete target.
    """
    command = ["cp", "--archive", "--reflink=auto", "--", str(origin), str(target)]
    done = subprocess.run(
        command,
        env={**os.environ, "LC_ALL": "C"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        remove(target)
        said = (done.stderr.strip().splitlines() or [f"cp ended with {done.returncode}"])[-1]
        if disk.WORDS.search(said):
            raise disk.full("Nothing was changed.", target.parent)
        raise DiskFailed(
            f"{origin} could not be copied: {said}. Nothing was changed.",
            hint="Try again. If it stays, see what the system says: sudo dmesg | tail",
        )


def remove(folder: Path) -> None:
    """Remove a folder and everything in it. Raises `DiskFailed`.

    Uses `rm`, which follows no links and has no depth limit.
    """
    command = ["rm", "--recursive", "--force", "--one-file-system", "--", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise DiskFailed(
            f"{folder} could not be removed: {done.stderr.strip()}.",
            hint="Nothing needs it: remove it by hand, as root.",
        )


def size(folder: Path) -> int:
    """Return the disk usage of a folder, and so of a copy, in bytes; hard links count once.

    Files that are removed during the count are left out.
    """
    total, linked = 0, set()
    for entry in _every(folder):
        with suppress(FileNotFoundError):
            about = entry.stat(follow_symlinks=False)
            known = (about.st_dev, about.st_ino)
            total += 0 if known in linked else about.st_blocks * BLOCK
            if about.st_nlink > 1 and not entry.is_dir(follow_symlinks=False):
                linked.add(known)
    return total


def needed(folder: Path, target: Path) -> int:
    """Return how many bytes a copy of ``folder`` in ``target`` takes: 0 where reflinks work.

    Tested with a small file, because the two folders may be on different file systems.
    """
    return 0 if _shares_blocks(folder, target) else size(folder)


def _shares_blocks(folder: Path, target: Path) -> bool:
    with (
        tempfile.NamedTemporaryFile(dir=folder.parent, prefix=".tljh-runbook-") as origin,
        tempfile.NamedTemporaryFile(dir=target, prefix=".tljh-runbook-") as copy,
    ):
        origin.write(bytes(4096))
        origin.flush()
        try:
            fcntl.ioctl(copy.fileno(), FICLONE, origin.fileno())
        except OSError:
            return False
        return True


def fingerprint(folder: Path) -> str:
    """Return a digest of a folder's entries: names, modes, sizes, modification times, links.

    Bytecode that Python compiles automatically is left out: a running hub may write it at any time.
    """
    sha = hashlib.sha256()
    for entry in _walk(folder):
        sha.update(_about(entry).encode(errors="surrogateescape"))
    return sha.hexdigest()


def sync(folder: Path) -> None:
    """Flush everything written to a folder's file system to the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        renames.sync(descriptor)
    finally:
        os.close(descriptor)


def _walk(folder: Path) -> Iterator[os.DirEntry[str]]:
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        if entry.name != "__pycache__":
            yield entry
            if entry.is_dir(follow_symlinks=False):
                yield from _walk(Path(entry.path))


def _every(folder: Path) -> Iterator[os.DirEntry[str]]:
    with suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            yield entry
            if entry.is_dir(follow_symlinks=False):
                yield from _every(Path(entry.path))


def _about(entry: os.DirEntry[str]) -> str:
    if entry.is_symlink():
        return f"{entry.path}\0{os.readlink(entry.path)}\0"  # noqa: PTH115 - much faster
    about = entry.stat(follow_symlinks=False)
    if entry.is_dir(follow_symlinks=False):
        return f"{entry.path}\0{about.st_mode}\0"
    return f"{entry.path}\0{about.st_mode}\0{about.st_size}\0{about.st_mtime_ns}\0"
