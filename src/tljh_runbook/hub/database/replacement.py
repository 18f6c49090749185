"""Replace one SQLite database with another: at any time, either the old or the new one is there.

A database is more than its file. A ``-wal`` contains what was committed but is not in the file yet,
a hot ``-journal`` contains the pages that a crashed writer had half overwritten. SQLite applies
either to whatever file has that name: a new file beside them would be corrupted, and the old one
would lose rows without them. So SQLite itself first applies them to the old file, which is safe to
interrupt. Then the database is a single file, and one rename replaces it. Source:
https://www.sqlite.org/howtocorrupt.html, section 1.4.
"""

from __future__ import annotations

from contextlib import closing, suppress
from pathlib import Path

from tljh_runbook.errors import DatabaseDamaged, DatabaseMissing
from tljh_runbook.hub.core import files
from tljh_runbook.hub.database import sqlite


def fold(live: Path) -> bool:
    """Apply the log and journal of a database that is not in use to its file.

    Returns whether the database is a single file now. SQLite cannot read a file that is damaged or
    not a database, and leaves the files beside it unchanged. Raises `Busy`, `NoSpace`,
    `AccessDenied`; the content is then unchanged.
    """
    if live.is_symlink():  # the log is beside the file that it points to
        return False
    try:
        with sqlite.plainly(live), closing(sqlite.connect(sqlite.found(live), "rw")) as connection:
            # Exclusive, because a program that has it open would go on writing to a deleted file.
            connection.execute("PRAGMA locking_mode = EXCLUSIVE")
            connection.execute("BEGIN EXCLUSIVE")  # rolls back a hot journal
            connection.execute("COMMIT")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    except (DatabaseDamaged, DatabaseMissing):
        return False
    return True


def replace(live: Path, new: Path) -> None:
    """Replace ``live`` with ``new``, a complete database in one file on the same disk.

    The caller has called `fold` on ``live``, and has a copy of it and of the files beside it. If
    `fold` returns False, the database is unreadable, and the files beside it are removed first.
    """
    if not fold(live):
        _remove_beside(live)
    new.replace(live)
    files.sync_folder(live.parent)
    _remove_beside(live)  # already empty, and never read again


def _remove_beside(live: Path) -> None:
    for end in sqlite.BESIDE:
        with suppress(FileNotFoundError):
            sqlite.beside(live, end).unlink()
    files.sync_folder(live.parent)
