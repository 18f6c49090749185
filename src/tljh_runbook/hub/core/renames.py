"""Renames that never overwrite: the kernel's ``renameat2``, and a fallback."""

from __future__ import annotations

import ctypes
import errno
import os
import stat

NOREPLACE, EXCHANGE = 1, 2
# Errors of a C library, kernel or file system (such as NFS) without such a rename.
UNSUPPORTED = {errno.ENOSYS, errno.EINVAL, errno.ENOTSUP}

_LIBC = ctypes.CDLL(None, use_errno=True)
RENAMEAT2 = getattr(_LIBC, "renameat2", None)


def move(source: int, target: int, name: str) -> None:
    """Move an entry from one open folder to another, without following links.

    Raises `FileExistsError` if the target folder already has that name.
    """
    try:
        _renameat2(source, target, name, NOREPLACE)
    except OSError as error:
        if error.errno not in UNSUPPORTED:
            raise
        _move_by_link(source, target, name)


def exchange(source: int, target: int, name: str) -> None:
    """Exchange the entries with the same name in two open folders atomically."""
    _renameat2(source, target, name, EXCHANGE)


def can_exchange(folder: int) -> bool:
    """Return whether the file system of an open folder can exchange entries; leave no files."""
    name = ".exchange"
    os.mkdir(name, 0o700, dir_fd=folder)
    try:
        exchange(folder, folder, name)
    except OSError as error:
        if error.errno in UNSUPPORTED:
            return False
        raise
    finally:
        os.rmdir(name, dir_fd=folder)
    return True


def sync(folder: int) -> None:
    """Flush all changes on the file system of an open folder to the disk."""
    if _LIBC.syncfs(folder) != 0:
        _raise()


def _renameat2(source: int, target: int, name: str, flags: int) -> None:
    if RENAMEAT2 is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    encoded = os.fsencode(name)
    if RENAMEAT2(source, encoded, target, encoded, ctypes.c_uint(flags)) != 0:
        _raise(name)


def _raise(name: str | None = None) -> None:
    number = ctypes.get_errno()
    raise OSError(number, os.strerror(number), name)


def _move_by_link(source: int, target: int, name: str) -> None:
    """Move without ``renameat2``; no other process may write to ``source`` meanwhile.

    Folders cannot be hard-linked, and a plain rename could replace an empty folder that another
    process creates at that moment.
    """
    if stat.S_ISDIR(os.stat(name, dir_fd=source, follow_symlinks=False).st_mode):
        try:
            os.stat(name, dir_fd=target, follow_symlinks=False)
        except FileNotFoundError:
            os.rename(name, name, src_dir_fd=source, dst_dir_fd=target)
            return
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), name)
    os.link(name, name, src_dir_fd=source, dst_dir_fd=target, follow_symlinks=False)
    os.unlink(name, dir_fd=source)
