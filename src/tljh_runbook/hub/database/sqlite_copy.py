"""Consistent copies of SQLite databases, made while other programs write to them.

A plain ``cp`` of a database in use gives a torn copy, and ``Connection.backup`` makes a busy hub
wait four times as long. So this process holds a read transaction while *another* process copies the
bytes: POSIX locks belong to a process and are released when it closes any descriptor of the file,
so nothing in this process may open the source in the meantime. This is why the copied bytes are
those of a committed state:

*Rollback journal.* While a reader holds SHARED, nobody gets EXCLUSIVE, without which SQLite does
not write to the file: it does not change, and no journal is needed. A *hot* journal, left by a
writer that died, is rolled back by the first read, before the copy, as by any other reader.

*WAL*, with our read transaction ending at frame N. Frames are chained by checksums under the salt
in the log's header, so a log copied from front to back is read as a whole number of transactions.

- Read mark > 0: the log cannot restart, and checkpoints stop at N. A page that a checkpoint was
  just writing to the main file is complete in frames 1..N, all of which precede the copy.
- Read mark 0, when the main file contained the whole log: nobody may write to the main file, but
  the log may restart or be truncated while it is copied. The old frames up to that point would hide
  newer pages of the main file, which no integrity check detects. But a new header is written first:
  if log and copy have the same header *after* the copy, the log did not restart. After it was
  truncated once and restarted once, it cannot restart again before a checkpoint, which our lock
  prevents: the third try succeeds.
"""

from __future__ import annotations

import errno
import os
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

from tljh_runbook.hub.core import disk
from tljh_runbook.hub.database import sqlite

_WAL_HEADER_BYTES = 32


def copy(source: Path, target: Path) -> None:
    """Write the committed state of a database, possibly in use, to one new file (mode 0600).

    The copy has passed ``integrity_check``, has the same journal mode and is fsynced; its directory
    is not. A copy that fails is removed. The source is not written to, except that a hot journal is
    rolled back. Writers wait as long as ``cp`` takes; no other thread may open the source.

    Raises ``DatabaseMissing``, ``DatabaseDamaged``, ``Busy``, ``AccessDenied``, ``NoSpace``, and
    ``FileExistsError`` if the target, or a journal beside it, exists.
    """
    source = sqlite.found(source)
    with sqlite.plainly(target):
        _refuse_leftovers(target)
        _create(target)
    try:
        if not _copied_by_child(source, target):
            sqlite.remove(target)
            _create(target)
            _copy_by_sqlite(source, target)
        _sync(target)
    except BaseException:
        sqlite.remove(target)
        raise


def _copied_by_child(source: Path, target: Path) -> bool:
    """Return whether a child process made an intact copy; otherwise the caller lets SQLite copy."""
    before = _identity(source)
    with sqlite.reading(source) as connection:
        wal = sqlite.mode_of(connection) == "wal"
        copied = _run_cp(source, target) and (not wal or _log_copied(source, target))
    # If the source was renamed away and replaced, it is not the file that we had locked.
    return copied and before == _identity(source) and not _sealing_faults(target)


def _log_copied(source: Path, target: Path) -> bool:
    """Copy the write-ahead log, again if it restarted meanwhile (see the module docstring)."""
    log, log_copy = sqlite.beside(source, "-wal"), sqlite.beside(target, "-wal")
    for _ in range(3):
        log_copy.unlink(missing_ok=True)
        _create(log_copy)
        # SQLite never locks the log itself, so opening and closing it here releases no lock.
        if _run_cp(log, log_copy) and _head(log) == _head(log_copy):
            return True
    return False


def _copy_by_sqlite(source: Path, target: Path) -> None:
    """Copy through SQLite itself: slower, but it depends on nothing else."""
    # The read transaction comes first: backup() itself would wait for a lock indefinitely.
    with (
        sqlite.reading(source) as held,
        sqlite.plainly(target),
        closing(sqlite.connect(target, "rw")) as copied,
    ):
        held.backup(copied, pages=-1)
    wrong = _sealing_faults(target)
    if wrong:
        sqlite.check(source)
        raise sqlite.told("full" if sqlite.is_full(target) else "bad copy", target, wrong[0])


def _run_cp(source: Path, target: Path) -> bool:
    """Copy bytes in a child process, to a descriptor, so that no planted symlink is followed."""
    descriptor = os.open(target, os.O_WRONLY | os.O_NOFOLLOW)
    command = ["cp", "--reflink=auto", "--", os.fspath(source), f"/proc/self/fd/{descriptor}"]
    environment = {**os.environ, "LC_ALL": "C"}
    try:
        done = subprocess.run(
            command, pass_fds=[descriptor], env=environment, check=False, capture_output=True
        )
    except FileNotFoundError:  # no cp on this machine
        return False
    finally:
        os.close(descriptor)
    if disk.WORDS.search(done.stderr.decode(errors="replace")):
        raise sqlite.told("full", target)
    return done.returncode == 0


def _sealing_faults(target: Path) -> list[str]:
    """Turn the copy into a single file; return what is wrong with it."""
    try:
        with closing(sqlite.connect(target, "rw")) as connection:
            # With exclusive access SQLite needs no -shm; `_sync` flushes the file once at the end.
            connection.execute("PRAGMA locking_mode = EXCLUSIVE")
            connection.execute("PRAGMA synchronous = OFF")
            # The log itself is deleted when the connection closes. Truncating it now would wait for
            # a disk that is still writing the copy (ext4); the check can run in the meantime.
            connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
            wrong = sqlite.integrity(connection)
    except sqlite3.Error as error:
        return [str(error)]
    left = [suffix for suffix in sqlite.BESIDE if sqlite.beside(target, suffix).exists()]
    return wrong + [f"its {suffix} file could not be brought in" for suffix in left]


def _refuse_leftovers(target: Path) -> None:
    # SQLite would take a journal beside the copy for the copy's own and apply it.
    for suffix in sqlite.BESIDE:
        if os.path.lexists(sqlite.beside(target, suffix)):
            raise FileExistsError(
                errno.EEXIST, os.strerror(errno.EEXIST), sqlite.beside(target, suffix)
            )


def _create(path: Path) -> None:
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600))


def _sync(path: Path) -> None:
    with sqlite.plainly(path), path.open("rb") as file:
        os.fsync(file)


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_WAL_HEADER_BYTES)


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino
