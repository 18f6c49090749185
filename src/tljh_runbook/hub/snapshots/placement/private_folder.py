"""Folders next to the homes that only root can access, for staged and replaced files."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

from tljh_runbook.errors import RestoreFailed
from tljh_runbook.hub.core import files

NAME = ".tljh-runbook"
PATIENCE = 1000
FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def make_work(root: Path) -> Path:
    """Create the runbook's folder in the homes folder, so that it is on the same file system.

    Raises `RestoreFailed` if other users can access the folder or replace it.
    """
    work = root / NAME
    with files.disk_errors(root, "Nothing was changed."), opened(root) as above:
        status = os.fstat(above)
        others = status.st_mode & 0o022 and not status.st_mode & stat.S_ISVTX
        if others or status.st_uid not in {0, os.geteuid()}:
            raise RestoreFailed(
                f"Others than root may write to {root}. Nothing was changed.",
                hint=f"Take that right away: sudo chown root '{root}'; sudo chmod go-w '{root}'",
            )
        make_private(above, NAME)
        with private(above, NAME, work):
            return work


def make_private(above: int, name: str) -> None:
    """Create a folder that only we can access, unless the name is taken."""
    with suppress(FileExistsError):
        os.mkdir(name, 0o700, dir_fd=above)


@contextmanager
def private(above: int | None, name: str | Path, path: Path) -> Iterator[int]:
    """Open a folder that only we can access; ``path`` is used in messages.

    Raises `RestoreFailed` if it is anything else.
    """
    try:
        folder = os.open(name, FOLDER, dir_fd=above)
    except OSError as error:
        if error.errno not in {errno.ELOOP, errno.ENOTDIR}:
            raise
        raise _strange(path) from error
    try:
        if not is_private(folder):
            raise _strange(path)
        yield folder
    finally:
        os.close(folder)


def is_private(folder: int) -> bool:
    """Return whether an open folder belongs to us and nobody else can access it."""
    status = os.fstat(folder)
    return status.st_uid == os.geteuid() and not status.st_mode & 0o077


def _strange(path: Path) -> RestoreFailed:
    return RestoreFailed(
        f"{path} is not a folder that only root may enter. Nothing was changed.",
        hint=f"Move it away, then run it again. To see what it is: ls -ld '{path}'",
    )


def names(folder: int) -> list[str]:
    """Return the names in an open folder."""
    return os.listdir(folder)


@contextmanager
def opened(folder: str | Path, above: int | None = None) -> Iterator[int]:
    flags = FOLDER if above is not None else os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
    """Open a folder; with ``above``, the one of that name in it, without following a link."""
    descriptor = os.open(folder, flags, dir_fd=above)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def clean(folder: Path) -> None:
    """Remove a folder that only we can access, and everything in it; links are not followed."""
    with files.disk_errors(folder, "What is left of it can be removed by hand."):
        with suppress(FileNotFoundError), private(None, folder, folder) as top:
            _Removal(top).remove()
        with suppress(FileNotFoundError):
            folder.rmdir()


class _Removal:
    """A recursive removal that first moves deeply nested entries to the top.

    So memory use and open files don't grow with the depth, as they do in `shutil.rmtree`.
    """

    def __init__(self, top: int) -> None:
        self._top = top
        self._numbers = count()
        self._patience = PATIENCE

    def remove(self) -> None:
        while found := names(self._top):
            for name in found:
                if not _unlinked(self._top, name):
                    self._remove_folder(name)

    def _remove_folder(self, name: str) -> None:
        _open_up(self._top, name)
        with opened(name, self._top) as folder:
            for entry in names(folder):
                if not _unlinked(folder, entry):
                    self._bring_up(folder, entry)
        try:
            os.rmdir(name, dir_fd=self._top)
        except OSError as error:
            # A process that already had the folder open has created something in it.
            self._patience -= 1
            if error.errno != errno.ENOTEMPTY or not self._patience:
                raise

    def _bring_up(self, folder: int, name: str) -> None:
        _open_up(folder, name)
        for number in self._numbers:
            try:
                os.rename(name, str(number), src_dir_fd=folder, dst_dir_fd=self._top)
            except OSError as error:
                if error.errno not in {errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR}:
                    raise
            else:
                return


def _unlinked(folder: int, name: str) -> bool:
    """Remove an entry unless it is a folder; return whether it is gone."""
    try:
        os.unlink(name, dir_fd=folder)
    except IsADirectoryError:
        return False
    return True


def _open_up(above: int, name: str) -> None:
    if os.geteuid() != 0:  # only root can empty a read-only folder
        os.chmod(name, 0o700, dir_fd=above)
