"""The folder for entries that were replaced in the homes; only we can access it."""

from __future__ import annotations

import errno
import os
from contextlib import ExitStack, suppress
from itertools import count
from pathlib import Path

from tljh_runbook.hub.core import renames
from tljh_runbook.hub.snapshots.placement import private_folder


class Kept:
    """The store for replaced entries, moved there with renames under their whole path."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._open = ExitStack()
        self._top = -1
        self._exchanges = False

    def close(self) -> None:
        self._open.close()

    def replace(self, staged: int, live: int, parts: tuple[str, ...]) -> None:
        """Put the staged entry in place of the live one, and retain the live one.

        ``parts`` is its path; ``staged`` and ``live`` are the open folders that contain it.  Raises
        `FileExistsError` or `FileNotFoundError` if the live entry has changed meanwhile.
        """
        with self._room(parts) as room:
            if self._exchanges:
                _exchange(staged, live, room.folder, parts[-1])
            else:
                os.rename(parts[-1], parts[-1], src_dir_fd=live, dst_dir_fd=room.folder)
                renames.move(staged, live, parts[-1])

    def _room(self, parts: tuple[str, ...]) -> _Room:
        """Return a folder for ``parts`` in which that name is free.

        The name is taken if a user recreated the entry while we worked: both are retained.
        """
        if self._top == -1:
            self._start()
        for number in count():
            folders = parts[:-1] if number == 0 else (f".again-{number}", *parts[:-1])
            if (room := _Room.make(self._top, folders)) is None:
                continue
            if room.is_free(parts[-1]):
                return room
            room.close()
        raise AssertionError("numbers do not end")

    def _start(self) -> None:
        """Create the folder when there is something to retain."""
        above = self._open.enter_context(
            private_folder.private(None, self._folder.parent, self._folder.parent)
        )
        private_folder.make_private(above, self._folder.name)
        opened = private_folder.private(above, self._folder.name, self._folder)
        self._top = self._open.enter_context(opened)
        self._exchanges = renames.can_exchange(self._top)


class _Room:
    """One open folder inside the store."""

    def __init__(self, folder: int) -> None:
        self.folder = folder

    @classmethod
    def make(cls, top: int, folders: tuple[str, ...]) -> _Room | None:
        """Create and open nested folders; return None if one of them is not ours."""
        room = cls(os.dup(top))
        for name in folders:
            if not room._enter(name):
                room.close()
                return None
        return room

    def _enter(self, name: str) -> bool:
        private_folder.make_private(self.folder, name)
        try:
            below = os.open(name, private_folder.FOLDER, dir_fd=self.folder)
        except OSError as error:
            if error.errno not in {errno.ELOOP, errno.ENOTDIR}:
                raise
            return False
        self.close()
        self.folder = below
        # This may be a replaced folder of a user, who may still have it open.
        return private_folder.is_private(below)

    def is_free(self, name: str) -> bool:
        with suppress(FileNotFoundError):
            os.stat(name, dir_fd=self.folder, follow_symlinks=False)
            return False
        return True

    def close(self) -> None:
        os.close(self.folder)

    def __enter__(self) -> _Room:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _exchange(staged: int, live: int, room: int, name: str) -> None:
    """Exchange two entries atomically, so that the path always exists.

    The staged entry is moved to the store first. So if we are killed right after the exchange, the
    replaced entry is in the store and not among the staged files.
    """
    os.rename(name, name, src_dir_fd=staged, dst_dir_fd=room)
    try:
        renames.exchange(room, live, name)
    except OSError:  # only an OSError means that the exchange did not happen
        os.rename(name, name, src_dir_fd=room, dst_dir_fd=staged)
        raise
