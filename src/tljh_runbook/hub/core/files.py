"""Atomic writes, and reads that do not follow symbolic links."""

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
    """Turn an `OSError` below ``where`` into `NoSpace`, `AccessDenied` or `DiskFailed`.

    ``state`` says what state things are in afterwards. ``others`` are further places that are
    written to, so their disk may be the full one.
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
    """Return the files that an `OSError` names by absolute path."""
    names = [name for name in (error.filename, error.filename2) if isinstance(name, (str, bytes))]
    return [path for name in names if (path := Path(os.fsdecode(name))).is_absolute()]


def write_new(path: Path, data: bytes, *, mode: int = 0o600) -> None:
    """Write a file that must not exist yet, and flush it to the disk."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(path, flags, mode), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def replace(path: Path, data: bytes) -> None:
    """Replace a file's content atomically; mode and owner do not change."""
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
    """Return the content and the stat result of a small file that others may be writing.

    A file that changes while it is read is read again, so the content is one consistent version.
    Raises `OSError` (EBUSY) after `ATTEMPTS`.
    """
    for _ in range(ATTEMPTS):
        with os.fdopen(open_regular(source), "rb") as file:
            before = os.fstat(file.fileno())
            data = file.read()
            file.seek(0)
            # Read twice: the modification time is set when a write starts, not when it ends.
            same = file.read() == data
            after = os.fstat(file.fileno())
        if same and (before.st_mtime_ns, before.st_size) == (after.st_mtime_ns, len(data)):
            return data, before
    raise OSError(errno.EBUSY, "changes faster than it can be read", str(source))


def digest(path: Path) -> tuple[int, str]:
    """Return the size in bytes and the SHA-256 (hexadecimal) of a regular file."""
    with os.fdopen(open_regular(path), "rb") as file:
        return digest_of(file)


def digest_of(file: BinaryIO) -> tuple[int, str]:
    """Return the size in bytes and the SHA-256 (hexadecimal) of the rest of an open file."""
    total, sha = 0, hashlib.sha256()
    while chunk := file.read(CHUNK):
        total += len(chunk)
        sha.update(chunk)
    return total, sha.hexdigest()


def size(path: Path) -> int:
    """Return the size of a file in bytes, 0 if it does not exist."""
    with suppress(FileNotFoundError):
        return path.lstat().st_size
    return 0


def sync_folder(folder: Path) -> None:
    """Flush a folder's own entries to the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def walk(folder: Path) -> Iterator[Path]:
    """Yield every entry below a folder that is not a folder itself, without following links."""
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        path = folder / entry.name
        if entry.is_dir(follow_symlinks=False):
            yield from walk(path)
        else:
            yield path


def make_private(folder: Path) -> None:
    """Make ``folder`` and its missing parents, which only their owner may enter.

    The mode of an existing folder does not change: it may be /tmp, or the root of a disk. Raises
    `SettingsInvalid` if a file is in the way.
    """
    try:
        for each in (*reversed(folder.parents), folder):
            # mkdir(parents=True) would set the mode of the last one only.
            if not each.is_dir():
                each.mkdir(mode=0o700, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise SettingsInvalid(
            f"{folder} cannot be made: there is a file in its place. Nothing was changed.",
            hint="Name another folder, or move that file away.",
        ) from error
