"""Sound copies of a database that is written to, beside what cp makes of it."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

import sqlite_writer
from rows import Row, seconds

from tljh_runbook.hub.database import sqlite, sqlite_copy

MEGABYTES = 200
MODES = {"delete": "rollback journal", "wal": "write-ahead log"}
Copy = Callable[[Path, Path], None]


class Cost(NamedTuple):
    """What a copy took, and the longest that its writer waited meanwhile, in seconds."""

    taken: float
    waited: float


def rows(folder: Path, rounds: int, copies: int) -> Iterator[Row]:
    """Yield the figures of both journal modes."""
    for mode, told in MODES.items():
        yield from _large(_database(folder, mode, MEGABYTES), rounds, told)
        yield _sound(_database(folder, mode, 0), copies, told)


def _large(source: Path, rounds: int, mode: str) -> Iterator[Row]:
    costs: list[tuple[Cost, Cost, Cost]] = []
    for _ in range(rounds):
        costs.append((_cost(source, sqlite_copy.copy), _cost(source, _cp), _cost(source, _checked)))
    name = f"copy of a {MEGABYTES} MB database in use, {mode}"
    yield Row(name, "cp and sync", "s", 1.5, [(a.taken, b.taken) for a, b, _ in costs])
    checked = "cp, sync, and SQLite's integrity_check"
    yield Row(f"{name}, checked", checked, "s", 1.5, [(a.taken, c.taken) for a, _, c in costs])
    waits = [(a.waited, b.taken) for a, b, _ in costs]
    yield Row(f"longest wait of its writer, {mode}", "all of cp and sync", "s", 1.5, waits)


def _sound(source: Path, copies: int, mode: str) -> Row:
    """Count the copies that no committed transaction can have left."""
    broken = {sqlite_copy.copy: 0, _cp: 0}
    for _ in range(0, copies, 10):  # a writer that never pauses grows its log without end
        with _writer("write", source):
            for copy in broken:
                for _ in range(10):
                    broken[copy] += _is_broken(source, copy)
    name = f"unsound ones of {copies} copies of a small database, {mode}"
    return Row(name, "cp", "copies", 0, [(broken[sqlite_copy.copy], broken[_cp])])


def _is_broken(source: Path, copy: Copy) -> bool:
    target = source.with_name("copy.sqlite")
    try:
        copy(source, target)
        return bool(sqlite_writer.broken_rules(target))
    finally:
        _remove(target)


def _cost(source: Path, copy: Copy) -> Cost:
    target = source.with_name("copy.sqlite")
    with _writer("paced", source) as writer:
        taken = seconds(lambda: copy(source, target))
        assert writer.stdin
        assert writer.stdout
        writer.stdin.close()
        waited = float(writer.stdout.read())
    _remove(target)
    return Cost(taken, waited)


def _cp(source: Path, target: Path) -> None:
    """Copy a database as one does by hand, with the log that lies beside it."""
    for end in ("", "-wal"):
        if sqlite.beside(source, end).exists():
            copy = sqlite.beside(target, end)
            subprocess.run(
                ["cp", "--reflink=auto", "--", sqlite.beside(source, end), copy], check=False
            )
            subprocess.run(["sync", copy], check=False)


def _checked(source: Path, target: Path) -> None:
    _cp(source, target)
    with closing(sqlite3.connect(target)) as copied:
        copied.execute("PRAGMA integrity_check").fetchall()


def _database(folder: Path, mode: str, megabytes: int) -> Path:
    path = folder / f"{mode}-{megabytes}" / "hub.sqlite"
    path.parent.mkdir()
    sqlite_writer.create(str(path), mode)
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE filler (id INTEGER PRIMARY KEY, text BLOB)")
        fill = "INSERT INTO filler (text) VALUES (randomblob(1000))"
        with database:
            for _ in range(megabytes * 1000):
                database.execute(fill)
    return path


def _remove(target: Path) -> None:
    for end in ("", *sqlite.BESIDE):
        sqlite.beside(target, end).unlink(missing_ok=True)


@contextmanager
def _writer(action: str, path: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, sqlite_writer.__file__, action, str(path)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdin
        assert process.stdout
        process.stdout.readline()
        try:
            yield process
        finally:
            process.stdin.close()
            process.wait()
