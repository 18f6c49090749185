"""Queries on SQLite databases that other programs may be writing to.

Every query runs in a read transaction that changes nothing, and every SQLite error is turned into
a helpful message.
"""

from __future__ import annotations

import os
import shlex
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tljh_runbook.errors import (
    AccessDenied,
    Busy,
    DatabaseDamaged,
    DatabaseMissing,
    RunbookError,
)
from tljh_runbook.hub.core import disk

WAIT_SECONDS = 30.0
"""How long to wait for a writer that has locked the whole database."""

_ERRORS: dict[str, tuple[type[RunbookError], str, str]] = {
    "locked": (
        Busy,
        "Another program kept {name} locked all the time. Nothing was changed.",
        "See which program it is, then try again: sudo fuser -v {path}",
    ),
    "missing": (
        DatabaseMissing,
        "There is no file {name}. Nothing was changed.",
        "See what is there: sudo ls -l {folder}",
    ),
    "not a database": (
        DatabaseMissing,
        "{name} is not a SQLite database. Nothing was changed.",
        "Leave the file as it is, and follow RESTORE.md in the newest sound snapshot. "
        "To list them: tljh-runbook snapshots",
    ),
    "readonly": (
        AccessDenied,
        "{name} cannot be opened with the rights of this user. Nothing was changed.",
        "Try again as root (sudo). Its rights: ls -l {path}",
    ),
    "no such": (
        DatabaseMissing,
        "{name} is a database of another kind or version: {said}. Nothing was changed.",
        "See what is there: sudo ls -l {folder}",
    ),
    "damaged": (
        DatabaseDamaged,
        "{name} is damaged; SQLite says: {said}. Nothing was changed.",
        "Leave the file as it is, and follow RESTORE.md in the newest sound snapshot. "
        "To list them: tljh-runbook snapshots",
    ),
    "bad copy": (
        DatabaseDamaged,
        "The copy {name} came out damaged twice ({said}), although its source is sound. "
        "The copy was removed and nothing else was changed.",
        "The disk may be failing. See what the system says: sudo dmesg | tail",
    ),
}
BESIDE = ("-wal", "-shm", "-journal")
_PAGE_BYTES = 65536  # SQLite's largest page size


def check(path: Path) -> None:
    """Run SQLite's ``integrity_check``; raise ``DatabaseDamaged`` with the first finding.

    Foreign keys are not checked: SQLite does not enforce them by default, and real hubs violate
    them. An empty file is a valid database without tables. Takes up to 20 s per GB, during which
    writers to a live database wait: check a copy instead.
    """
    with reading(found(path)) as connection:
        wrong = integrity(connection)
    if wrong:
        raise told("damaged", path, wrong[0])


def revision(path: Path) -> str | None:
    """Return the Alembic revision of the schema, or None if there is none."""
    with reading(found(path)) as connection:
        if "alembic_version" not in _tables(connection):
            return None
        row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    return str(row[0]) if row else None


def journal_mode(path: Path) -> str:
    """Return ``wal`` or ``delete``, the two modes that are stored in the database file itself."""
    with reading(found(path)) as connection:
        return mode_of(connection)


def rows(path: Path) -> dict[str, int]:
    """Return the number of rows in each table, all from the same moment."""
    with reading(found(path)) as connection:
        return {table: _count(connection, table) for table in _tables(connection)}


def query(path: Path, sql: str) -> list[tuple[Any, ...]]:
    """Return the rows that one SELECT finds; a statement that would write is refused."""
    with reading(found(path)) as connection:
        return connection.execute(sql).fetchall()


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """Hold a read transaction, in which the committed content does not change."""
    # A read-only connection can neither apply the log nor delete it on closing, so an existing log
    # is left unchanged. Without a log, "rw" rolls back a hot journal, and on closing removes the
    # empty -wal and -shm that it had to create. Neither mode ever creates a database.
    mode = "ro" if beside(path, "-wal").exists() else "rw"
    with plainly(path), closing(connect(path, mode)) as connection:
        connection.execute("PRAGMA query_only = ON")
        connection.execute("BEGIN")
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        yield connection


def connect(path: Path, mode: str) -> sqlite3.Connection:
    address = f"file://{quote(os.fsencode(path.absolute()))}?mode={mode}"
    return sqlite3.connect(address, uri=True, timeout=WAIT_SECONDS, isolation_level=None)


def mode_of(connection: sqlite3.Connection) -> str:
    return str(connection.execute("PRAGMA journal_mode").fetchone()[0])


def integrity(connection: sqlite3.Connection) -> list[str]:
    findings = [str(row[0]) for row in connection.execute("PRAGMA integrity_check")]
    return [] if findings == ["ok"] else findings


def _tables(connection: sqlite3.Connection) -> list[str]:
    query = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite~_%' "
    return [str(row[0]) for row in connection.execute(query + "ESCAPE '~' ORDER BY name")]


def _count(connection: sqlite3.Connection, table: str) -> int:
    quoted = table.replace('"', '""')
    return int(connection.execute(f'SELECT count(*) FROM "{quoted}"').fetchone()[0])  # noqa: S608


def found(path: Path) -> Path:
    """Resolve symlinks as SQLite does, whose log is beside the file itself."""
    with plainly(path):
        real = path.resolve()
        if not real.is_file():
            raise told("missing", path)
    return real


def beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def remove(path: Path) -> None:
    """Remove a copy of our own that is not in use, with all files that SQLite has beside it."""
    for suffix in ("", *BESIDE):
        beside(path, suffix).unlink(missing_ok=True)


@contextmanager
def plainly(path: Path) -> Iterator[None]:
    """Turn SQLite's and the system's errors about a file into helpful messages."""
    try:
        yield
    except sqlite3.Error as error:
        raise _explained(str(error), path) from error
    except PermissionError as error:
        raise told("readonly", path) from error
    except OSError as error:
        raise (told("full", path) if error.errno in disk.ERRORS else error) from error


def _explained(said: str, path: Path) -> RunbookError:
    for key in ("locked", "full", "not a database", "readonly", "no such"):
        if key in said:
            return told(key, path, said)
    if not path.exists():
        return told("missing", path)
    # On a full disk SQLite may only report "disk I/O error" or "unable to open database file".
    if "malformed" not in said and is_full(path):
        return told("full", path)
    return told("readonly" if "unable to open" in said else "damaged", path, said)


def is_full(path: Path) -> bool:
    return disk.free(path.parent) < _PAGE_BYTES


def told(key: str, path: Path, said: str = "") -> RunbookError:
    if key == "full":
        return disk.full("What was started was removed again.", path)
    kind, message, hint = _ERRORS[key]
    # A name with undecodable bytes could not be printed unescaped.
    name, folder = (os.fsencode(p).decode(errors="backslashreplace") for p in (path, path.parent))
    words = {"name": name, "said": said, "path": shlex.quote(name), "folder": shlex.quote(folder)}
    return kind(message.format(**words), hint=hint.format(**words))
