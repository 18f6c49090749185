"""Put a SQLite database in the place of another: at every instant it is the old or the new one.

A database is more than its file. A ``-wal`` holds what was committed and is not in the file yet, a
hot ``-journal`` what a writer that died had half overwritten. SQLite plays either into whatever
file has that name: beside a new file they destroy it, and without them the old one has lost rows.
So SQLite itself first brings them into the old file, which a cut does not harm. Then the file is
alone, and one rename is all. Source: https://www.sqlite.org/howtocorrupt.html, section 1.4.
"""

from __future__ import annotations

from contextlib import closing, suppress
from pathlib import Path

from tljh_runbook.errors import DatabaseDamaged, DatabaseMissing
from tljh_runbook.hub.core import files
from tljh_runbook.hub.database import sqlite


def fold(live: Path) -> bool:
    """Bring log and journal of a database that nobody uses into its file.

    Returns whether the file is alone with its content now: SQLite cannot read one that is damaged,
    or that is none, and leaves what is beside it as it is. Raises `Busy`, `NoSpace`,
    `AccessDenied`; then the content is as it was.
    """
    if live.is_symlink():  # what it leads to keeps its log elsewhere
        return False
    try:
        with sqlite.plainly(live), closing(sqlite.connect(sqlite.found(live), "rw")) as connection:
            # Alone, or not at all: whoever has it open would write to a file without a name.
            connection.execute("PRAGMA locking_mode = EXCLUSIVE")
            connection.execute("BEGIN EXCLUSIVE")  # rolls a hot journal back
            connection.execute("COMMIT")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    except (DatabaseDamaged, DatabaseMissing):
        return False
    return True


def replace(live: Path, new: Path) -> None:
    """Put ``new``, a whole database in one file on the same disk, in the place of ``live``.

    The caller has folded ``live``, and has a copy of it and of what is beside it. Where it could
    not be folded nobody can read it, and what is beside it goes first.
    """
    if not fold(live):
        _remove_beside(live)
    new.replace(live)
    files.sync_folder(live.parent)
    _remove_beside(live)  # empty by now, and never read again


def _remove_beside(live: Path) -> None:
    for end in sqlite.BESIDE:
        with suppress(FileNotFoundError):
            sqlite.beside(live, end).unlink()
    files.sync_folder(live.parent)
