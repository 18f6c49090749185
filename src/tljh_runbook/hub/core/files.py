"""Files that are written whole or not at all, and read without being led astray."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from tljh_runbook.errors import AccessDenied, DiskFailed, SettingsInvalid
from tljh_runbook.hub.core import disk

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

CHUNK = 1 << 20
ATTEMPTS = 5


@contextmanager
def disk_errors(where: Path, state: str, *others: Path) -> Iterator[None]:
    """Turn an error of the system below ``where`` into one for a person.

    ``state`` says what state things are in afterwards; ``others`` are on disks that are written
    to as well, and may be the one that is full.
    """
    try:
        yield
    except OSError as error:
        if error.errno in disk.ERRORS:
            raise disk.full(state, where, *others, *_named(error)) from error
        if error.errno in {errno.EACCES, errno.EPERM, errno.EROFS}:
            raise AccessDenied(
                f"{error.filename or where}: {error.strerror}. {state}",
                hint="Run the same command as root (sudo).",
            ) from error
        raise DiskFailed(
            f"{error.filename or where}: {error.strerror}. {state}",
            hint="Try again. If it stays, see what the system says: sudo dmesg | tail",
        ) from error


def _named(error: OSError) -> list[Path]:
    """Return the files that an error of the system names by their whole path."""
    names = [name for name in (error.filename, error.filename2) if isinstance(name, (str, bytes))]
    return [path for name in names if (path := Path(os.fsdecode(name))).is_absolute()]


def write_new(path: Path, data: bytes, *, mode: int = 0o600) -> None:
    """Write a file that must not exist yet, and bring it to the disk."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(path, flags, mode), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def replace(path: Path, data: bytes) -> None:
    """Exchange a file's content in one moment; mode and owner stay as they were."""
    new = path.with_name(f".{path.name}.new")
    new.unlink(missing_ok=True)
    try:
        write_new(new, data)
        with suppress(FileNotFoundError):
            old = path.stat()
            os.chown(new, old.st_uid, old.st_gid)
            new.chmod(stat.S_IMODE(old.st_mode))
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)
    sync_folder(path.parent)


def open_regular(path: Path) -> int:
    """Open a regular file for reading, never through a link; return its descriptor."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    return descriptor


def read(path: Path) -> bytes:
    """Return the content of a regular file."""
    with os.fdopen(open_regular(path), "rb") as file:
        return file.read()


def steady(source: Path) -> tuple[bytes, os.stat_result]:
    """Return content and status of a small file that others may be writing.

    A file that changed while it was read is read again, so the content is one version of it.
    """
    for _ in range(ATTEMPTS):
        with os.fdopen(open_regular(source), "rb") as file:
            before = os.fstat(file.fileno())
            data = file.read()
            file.seek(0)
            # Twice, because a file's time tells too little: it is that of a write's beginning.
            same = file.read() == data
            after = os.fstat(file.fileno())
        if same and (before.st_mtime_ns, before.st_size) == (after.st_mtime_ns, len(data)):
            return data, before
    raise OSError(errno.EBUSY, "changes faster than it can be read", str(source))


def digest(path: Path) -> tuple[int, str]:
    """Return size in bytes and SHA-256 (hexadecimal) of a regular file."""
    with os.fdopen(open_regular(path), "rb") as file:
        return digest_of(file)


def digest_of(file: BinaryIO) -> tuple[int, str]:
    """Return size in bytes and SHA-256 (hexadecimal) of what an open file still holds."""
    total, sha = 0, hashlib.sha256()
    while chunk := file.read(CHUNK):
        total += len(chunk)
        sha.update(chunk)
    return total, sha.hexdigest()


def size(path: Path) -> int:
    """Return the size of a file in bytes, 0 where it is gone."""
    with suppress(FileNotFoundError):
        return path.lstat().st_size
    return 0


def sync_folder(folder: Path) -> None:
    """Bring a folder's own entries to the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def walk(folder: Path) -> Iterator[Path]:
    """Yield every entry below a folder that is not a folder itself, following no link."""
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        path = folder / entry.name
        if entry.is_dir(follow_symlinks=False):
            yield from walk(path)
        else:
            yield path


def make_private(folder: Path) -> None:
    """Make ``folder`` and its parents; only their owner may enter those that are made.

    One that is there keeps its mode: it may be /tmp, or the root of a disk.
    Raises `SettingsInvalid` where a file is in its place.
    """
    try:
        for each in (*reversed(folder.parents), folder):
            # mkdir(parents=True) would give the mode to the last one only.
            if not each.is_dir():
                each.mkdir(mode=0o700, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise SettingsInvalid(
            f"{folder} cannot be made: there is a file in its place. Nothing was changed.",
            hint="Name another folder, or move that file away.",
        ) from error
