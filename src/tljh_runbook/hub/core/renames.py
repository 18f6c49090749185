"""Renames that write over nothing: the kernel's own, and what stands in for them."""

from __future__ import annotations

import ctypes
import errno
import os
import stat

NOREPLACE, EXCHANGE = 1, 2
# What a C library, a kernel or a file system answers that has no such rename (NFS, for one).
UNSUPPORTED = {errno.ENOSYS, errno.EINVAL, errno.ENOTSUP}

_LIBC = ctypes.CDLL(None, use_errno=True)
RENAMEAT2 = getattr(_LIBC, "renameat2", None)


def move(source: int, target: int, name: str) -> None:
    """Move an entry from one open folder to another, following no link.

    Raises `FileExistsError` when the name is taken there.
    """
    try:
        _renameat2(source, target, name, NOREPLACE)
    except OSError as error:
        if error.errno not in UNSUPPORTED:
            raise
        _move_by_link(source, target, name)


def exchange(source: int, target: int, name: str) -> None:
    """Exchange the entries of that name in two open folders, in one moment."""
    _renameat2(source, target, name, EXCHANGE)


def can_exchange(folder: int) -> bool:
    """Say whether the file system of an open folder can exchange entries; leave nothing there."""
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
    """Bring all that was changed on the file system of an open folder to the disk."""
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
    """Do the same without the kernel's help; nobody else may write to ``source`` meanwhile.

    Folders have no links: one may take the place of an empty folder that was made this moment.
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
