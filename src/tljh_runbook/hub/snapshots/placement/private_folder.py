"""Folders that only we may enter, beside the homes: what is staged, what was replaced."""

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
    """Make the runbook's folder in the folder of the homes, on the same file system.

    Raises `RestoreFailed` when others may enter it, or may put another one in its place.
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
    """Make a folder that only we may enter, unless there is something of that name."""
    with suppress(FileExistsError):
        os.mkdir(name, 0o700, dir_fd=above)


@contextmanager
def private(above: int | None, name: str | Path, path: Path) -> Iterator[int]:
    """Open a folder that only we may enter; ``path`` is how it is told.

    Raises `RestoreFailed` when it is anything else.
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
    """Say whether an open folder is ours, and nobody else may enter it."""
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
    """Open a folder: anyone, or never through a link the one of that name ``above``."""
    descriptor = os.open(folder, flags, dir_fd=above)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def clean(folder: Path) -> None:
    """Remove a folder that only we may enter, with all that is in it; links are not followed."""
    with files.disk_errors(folder, "What is left of it can be removed by hand."):
        with suppress(FileNotFoundError), private(None, folder, folder) as top:
            _Removal(top).remove()
        with suppress(FileNotFoundError):
            folder.rmdir()


class _Removal:
    """Empties a folder; what lies deep is brought to the top first.

    So no depth takes more memory or open files, as `shutil.rmtree` does.
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
            # Somebody who had it open from before has put something in.
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
    """Remove an entry unless it is a folder; say whether it is gone."""
    try:
        os.unlink(name, dir_fd=folder)
    except IsADirectoryError:
        return False
    return True


def _open_up(above: int, name: str) -> None:
    if os.geteuid() != 0:  # an ordinary user may not empty what is read-only
        os.chmod(name, 0o700, dir_fd=above)
