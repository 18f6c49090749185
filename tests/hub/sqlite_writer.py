"""Write to a database in a process of its own: ``sqlite_writer.py ACTION DATABASE``.

It prints ``ready`` when the state that the action is named after has been reached, and goes on (or
keeps it) until its standard input closes.
"""

from __future__ import annotations

import itertools
import random
import select
import sqlite3
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

ACCOUNTS = 200
SCHEMA = f"""
CREATE TABLE account (id INTEGER PRIMARY KEY, balance INTEGER NOT NULL, note BLOB);
CREATE TABLE pair (id INTEGER, side INTEGER, text BLOB, doomed INTEGER, UNIQUE (id, side));
CREATE TABLE clock (serial INTEGER NOT NULL);
INSERT INTO clock VALUES (0);
CREATE TABLE opening (money INTEGER NOT NULL);
WITH n (i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < {ACCOUNTS})
INSERT INTO account SELECT i, 1000, randomblob(600) FROM n;
INSERT INTO opening SELECT sum(balance) FROM account;
"""  # noqa: S608
RULES = {
    "half a pair": "SELECT id FROM pair GROUP BY id HAVING count(*) <> 2",
    "rolled back rows": "SELECT id FROM pair WHERE doomed",
    "money lost or made": "SELECT money FROM opening "
    "WHERE money <> (SELECT sum(balance) FROM account)",
    "damaged": "SELECT * FROM pragma_integrity_check WHERE integrity_check <> 'ok'",
}


def broken_rules(path: Path) -> list[str]:
    """Return what a copy of committed transactions can never show."""
    try:
        with closing(sqlite3.connect(path)) as database:
            return [rule for rule, query in RULES.items() if database.execute(query).fetchall()]
    except sqlite3.DatabaseError as error:
        return [str(error)]


def create(path: str, mode: str) -> None:
    database = sqlite3.connect(path)
    database.execute(f"PRAGMA journal_mode = {mode}")
    database.executescript(SCHEMA)
    database.close()


def stopped() -> bool:
    return bool(select.select([sys.stdin], [], [], 0)[0])


def ready() -> None:
    sys.stdout.write("ready\n")
    sys.stdout.flush()


def connect(path: str) -> sqlite3.Connection:
    database = sqlite3.connect(path, timeout=60, isolation_level=None)
    database.execute("PRAGMA synchronous = OFF")  # as many commits as possible
    database.execute("PRAGMA cache_size = 10")  # larger transactions spill into the file
    return database


def change(database: sqlite3.Connection, chance: random.Random, *, doomed: bool, size: int) -> None:
    """Move money between accounts, add pairs and remove pairs: each alone would break a rule."""
    for _ in range(size):
        giver, taker = chance.sample(range(1, ACCOUNTS + 1), 2)
        database.execute("UPDATE account SET balance = balance - 7 WHERE id = ?", (giver,))
        first = chance.randrange(1 << 40)
        for side in (0, 1):
            values = (first, side, chance.randbytes(chance.randrange(3000)), doomed)
            database.execute("INSERT INTO pair VALUES (?, ?, ?, ?)", values)
        database.execute(
            "UPDATE account SET balance = balance + 7, note = randomblob(600) WHERE id = ?",
            (taker,),
        )
    database.execute(
        "DELETE FROM pair WHERE id IN (SELECT DISTINCT id FROM pair ORDER BY id LIMIT "
        "max(0, (SELECT count(*) / 2 - 200 FROM pair)))"
    )
    database.execute("UPDATE clock SET serial = serial + 1")


def write(path: str) -> None:
    """Commit and roll back without pause, checkpointing in every way there is."""
    database, chance = connect(path), random.Random()  # noqa: S311
    wal = database.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
    for turn in itertools.count():
        doomed = chance.random() < 0.3
        # Who spills has locked all readers out, and a writer that never pauses lets none in again.
        database.execute(f"PRAGMA cache_size = {chance.choice([10, 4000, 4000])}")
        database.execute("BEGIN IMMEDIATE")
        change(database, chance, doomed=doomed, size=chance.choice([1, 2, 5, 40]))
        database.execute("ROLLBACK" if doomed else "COMMIT")
        if wal and chance.random() < 0.2:
            how = chance.choice(["PASSIVE", "FULL", "RESTART", "TRUNCATE"])
            database.execute("PRAGMA busy_timeout = 0")
            database.execute(f"PRAGMA wal_checkpoint({how})").fetchall()
            database.execute("PRAGMA busy_timeout = 60000")
        if turn == 20:
            ready()
        if stopped():
            break


def paced(path: str) -> None:
    """Commit something small again and again; say at last how long the longest took, in seconds."""
    database, longest = connect(path), 0.0
    ready()
    while not stopped():
        begun = time.monotonic()
        database.execute("UPDATE clock SET serial = serial + 1")
        longest = max(longest, time.monotonic() - begun)
        time.sleep(0.002)
    sys.stdout.write(f"{longest}\n")


def spilled(path: str) -> None:
    """Sit in the middle of a transaction, parts of which have reached the disk."""
    database = connect(path)
    database.execute("BEGIN IMMEDIATE")
    change(database, random.Random(1001), doomed=True, size=200)  # noqa: S311
    ready()
    sys.stdin.read()


def locked(path: str) -> None:
    database = connect(path)
    database.execute("BEGIN EXCLUSIVE")
    ready()
    sys.stdin.read()
    database.execute("COMMIT")


def pending(path: str) -> None:
    """Be refused a commit by a reader, and so keep new readers out."""
    reader, database = connect(path), connect(path)
    reader.execute("BEGIN").execute("SELECT * FROM clock").fetchone()
    database.execute("PRAGMA busy_timeout = 0")
    database.execute("BEGIN IMMEDIATE")
    database.execute("UPDATE clock SET serial = serial + 1")
    try:
        database.execute("COMMIT")
    except sqlite3.OperationalError:
        ready()
    sys.stdin.read()
    reader.execute("ROLLBACK")
    database.execute("COMMIT")


def exclusive(path: str) -> None:
    """Keep the lock between transactions, as programs with an exclusive locking mode do."""
    database = connect(path)
    database.execute("PRAGMA locking_mode = EXCLUSIVE")
    database.execute("UPDATE clock SET serial = serial + 1")
    ready()
    sys.stdin.read()


def backfilled(path: str) -> None:
    """Keep a log open, of several transactions, that has been copied to the main file wholly."""
    database = connect(path)
    database.execute("PRAGMA wal_autocheckpoint = 0")
    for seed in range(6):
        database.execute("BEGIN")
        change(database, random.Random(seed), doomed=False, size=30)  # noqa: S311
        database.execute("COMMIT")
    database.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
    ready()
    sys.stdin.read()


def once(path: str) -> None:
    """Commit a large transaction and end, leaving the log to others."""
    database = connect(path)
    database.execute("PRAGMA wal_autocheckpoint = 0")
    database.execute("BEGIN")
    change(database, random.Random(99), doomed=False, size=300)  # noqa: S311
    database.execute("COMMIT")
    ready()


def truncate(path: str) -> None:
    database = connect(path)
    database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    ready()


ACTIONS: dict[str, Callable[[str], None]] = {
    action.__name__: action
    for action in (write, paced, spilled, locked, pending, exclusive, backfilled, once, truncate)
}

if __name__ == "__main__":
    ACTIONS[sys.argv[1]](sys.argv[2])
