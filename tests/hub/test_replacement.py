"""A database is put in the place of another, killed at every line: it is the old or the new one."""

from __future__ import annotations

import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import hub_folder
import pytest
import sudden_end

from tljh_runbook.errors import Busy
from tljh_runbook.hub.backup import capture, components, restore
from tljh_runbook.hub.context import Source
from tljh_runbook.hub.database import replacement, sqlite
from tljh_runbook.hub.snapshots import exchange
from tljh_runbook.hub.snapshots.restoration import Action, Restoration
from tljh_runbook.hub.upgrade.swap import rollback_plan
from tljh_runbook.hub.upgrade.swap.rollback_plan import Way

# What decides in which order the files change; of each line that it comes by, a kill.
STEPS = (exchange, replacement, rollback_plan)
ROWS = 120
SNAPSHOT, LIVE, OLDER = "as it was saved", "as it is", "what was committed last is lost"
ORDER = [LIVE, SNAPSHOT]

# A hub that is killed: what it committed is in the log, or a journal can bring it back.
DYING = """
import os, signal, sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute(f"PRAGMA journal_mode = {sys.argv[2]}")
connection.execute("PRAGMA wal_autocheckpoint = 0")
connection.execute("PRAGMA cache_size = 2")  # pages: what is changed is written before its commit
connection.execute("BEGIN")
connection.execute("UPDATE a SET text = 'as it is' WHERE rowid % 40 = 0")
if sys.argv[3]:
    connection.execute(sys.argv[3])
connection.execute("COMMIT")
connection.execute("BEGIN")
connection.execute("UPDATE a SET text = 'never committed'")
os.kill(os.getpid(), signal.SIGKILL)
"""
MODES = {"wal": "-wal", "delete": "-journal"}


def filled(path: Path, text: str) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE a (text, pad)")
        connection.executemany("INSERT INTO a VALUES (?, hex(randomblob(500)))", [(text,)] * ROWS)


def die(path: Path, mode: str, more: str = "") -> None:
    """Have a writer die in the middle of a transaction, after another one that it committed."""
    done = subprocess.run([sys.executable, "-c", DYING, path, mode, more], check=False)
    assert done.returncode == -signal.SIGKILL
    assert sqlite.beside(path, MODES[mode]).stat().st_size


def content(path: Path) -> str:
    """Return which of the known contents a reader sees, of a database that is whole."""
    assert hub_folder.ask(path, "PRAGMA integrity_check") == [("ok",)]
    found = hub_folder.ask(path, "SELECT text, count(*) FROM a GROUP BY 1 ORDER BY 1")
    known: dict[tuple[object, ...], str] = {
        (("as it is", ROWS // 40), ("older", ROWS - ROWS // 40)): LIVE,
        (("as it was saved", ROWS),): SNAPSHOT,
        (("older", ROWS),): OLDER,
    }
    return known.get(tuple(found), f"a mix: {found}")


def copied(live: Path, target: Path) -> None:
    """Copy a database with all that is beside it, as it is on the disk."""
    for end in ("", *sqlite.BESIDE):
        place = sqlite.beside(target, end)
        place.unlink(missing_ok=True)
        if sqlite.beside(live, end).exists():
            shutil.copy2(sqlite.beside(live, end), place)


@pytest.fixture(params=MODES)
def dead(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A database whose writer was killed, aside: each test begins with a copy of it."""
    path = tmp_path / "dead.sqlite"
    filled(path, "older")
    die(path, request.param)
    return path


def seen(sight: Path, live: Path) -> str:
    """Return what a reader of a copy sees: reading alone would bring the log in."""
    copied(live, sight)
    return content(sight)


def test_the_old_or_the_new_one_at_every_instant(dead: Path, tmp_path: Path) -> None:
    live, new, sight = (tmp_path / name for name in ("live.sqlite", "new", "sight.sqlite"))

    def begin() -> None:
        copied(dead, live)
        sqlite.remove(new)
        filled(new, SNAPSHOT)

    found = [
        seen(sight, live)
        for _ in sudden_end.at_each_line(STEPS, begin, lambda: replacement.replace(live, new))
    ]
    assert found == sorted(found, key=ORDER.index)
    assert set(found) == {LIVE, SNAPSHOT}
    assert content(live) == SNAPSHOT
    assert [path.name for path in tmp_path.glob("live.sqlite?*")] == []


def test_whoever_has_it_open_is_not_left_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    live, new = tmp_path / "live.sqlite", tmp_path / "new"
    filled(live, "older")
    filled(new, SNAPSHOT)
    hub_folder.script(live, "PRAGMA journal_mode = wal")
    reader = sqlite3.connect(live, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM a").fetchone()
    monkeypatch.setattr(sqlite, "WAIT_SECONDS", 0.1)
    with pytest.raises(Busy, match=r"kept .* locked"):
        replacement.replace(live, new)
    reader.close()
    assert content(live) == OLDER


@pytest.mark.parametrize("left", ["a folder's worth of nothing", ""], ids=["damaged", "missing"])
def test_what_nobody_can_read_gives_its_log_to_nobody(tmp_path: Path, left: str) -> None:
    """The log is whole, and would be played into the new file."""
    live, new = tmp_path / "live.sqlite", tmp_path / "new"
    filled(live, "older")
    die(live, "wal")
    live.unlink()
    if left:
        live.write_bytes(left.encode() * 500)
        sqlite.beside(live, "-wal").write_bytes(b"no log either")
    filled(new, SNAPSHOT)
    replacement.replace(live, new)
    assert content(live) == SNAPSHOT
    assert not sqlite.beside(live, "-wal").exists()


def test_a_link_in_the_place_does_not_give_the_log_of_its_name(tmp_path: Path) -> None:
    live, new, other = (tmp_path / name for name in ("live.sqlite", "new", "other.sqlite"))
    filled(live, "older")
    die(live, "wal")
    filled(other, "older")
    live.unlink()
    live.symlink_to(other)
    filled(new, SNAPSHOT)
    replacement.replace(live, new)
    assert content(live) == SNAPSHOT
    assert content(other) == OLDER


@pytest.fixture
def restoring(source: Source, dead: Path) -> tuple[Path, Callable[[], Action], Path]:
    """The plugin's database as a snapshot has it, and what restores it."""
    live = source.hub.state / "tljh_plasma.sqlite"
    sqlite.remove(live)
    filled(live, SNAPSHOT)
    saved = capture.create(source, components.chosen(["database"]))

    def action() -> Action:
        (found,) = restore.plan(
            Restoration(source, saved, lambda _: None), components.chosen(["database"])
        )
        return found

    return live, action, source.hub.work / "replaced"


def test_a_restore_of_a_database_is_killed_at_every_line(
    restoring: tuple[Path, Callable[[], Action], Path], dead: Path, tmp_path: Path
) -> None:
    live, action, replaced = restoring

    def begin() -> None:
        shutil.rmtree(replaced, ignore_errors=True)
        copied(dead, live)

    def work() -> None:
        prepared.prepare()
        prepared.carry_out()

    begin()
    prepared = action()
    found = []
    for number in sudden_end.at_each_line(STEPS, begin, work):
        found.append(seen(tmp_path / "sight.sqlite", live))
        if found[-1] == SNAPSHOT:  # what was replaced is whole
            (kept,) = replaced.rglob(live.name)
            assert seen(tmp_path / "sight.sqlite", kept) == LIVE
        elif number % 8 == 0:  # the next run brings it to its end
            again = action()
            again.prepare()
            again.carry_out()
            assert content(live) == SNAPSHOT
    assert found == sorted(found, key=ORDER.index)
    assert set(found) == {LIVE, SNAPSHOT}


def test_taking_it_back_is_killed_at_every_line(
    restoring: tuple[Path, Callable[[], Action], Path], dead: Path, tmp_path: Path
) -> None:
    live, action, replaced = restoring

    def begin() -> None:
        shutil.rmtree(replaced, ignore_errors=True)
        copied(dead, live)
        prepared.prepare()
        prepared.carry_out()
        assert content(live) == SNAPSHOT

    copied(dead, live)
    prepared = action()
    assert prepared.undo
    found = [
        seen(tmp_path / "sight.sqlite", live)
        for _ in sudden_end.at_each_line(STEPS, begin, prepared.undo)
    ]
    assert found == sorted(found, key=ORDER[::-1].index)
    assert set(found) == {LIVE, SNAPSHOT}


@pytest.mark.parametrize("mode", MODES)
def test_a_rollback_of_a_database_is_killed_at_every_line(tmp_path: Path, mode: str) -> None:
    live, dead = tmp_path / "jupyterhub.sqlite", tmp_path / "dead.sqlite"
    way = Way(str(tmp_path / "stage"), {}, databases={"plasma": str(live)})
    filled(live, SNAPSHOT)
    rollback_plan.keep_databases(way)
    hub_folder.change(live, "UPDATE a SET text = 'older'")
    die(live, mode, more="ALTER TABLE a ADD COLUMN migrated")
    copied(live, dead)

    def begin() -> None:
        shutil.rmtree(way.kept / "newer", ignore_errors=True)
        copied(dead, live)

    found = []
    for _ in sudden_end.at_each_line(
        STEPS, begin, lambda: rollback_plan.return_database(way, "plasma")
    ):
        found.append(seen(tmp_path / "sight.sqlite", live))
        if found[-1] == SNAPSHOT:
            assert content(way.kept / "newer" / "plasma") == LIVE
    assert found == sorted(found, key=ORDER.index)
    assert set(found) == {LIVE, SNAPSHOT}


def test_the_newer_database_is_kept_as_it_is_and_not_as_it_was(tmp_path: Path) -> None:
    """A rollback was cut off, the newer hub ran once more, and somebody was entered."""
    live = tmp_path / "jupyterhub.sqlite"
    way = Way(str(tmp_path / "stage"), {}, databases={"plasma": str(live)})
    hub_folder.script(live, "CREATE TABLE a (b); INSERT INTO a VALUES (1);")
    rollback_plan.keep_databases(way)
    hub_folder.script(live, "ALTER TABLE a ADD COLUMN c;")
    (way.kept / "newer").mkdir()
    exchange.copy_file(live, way.kept / "newer" / "plasma")
    hub_folder.change(live, "INSERT INTO a VALUES (2, 2)")
    assert rollback_plan.return_database(way, "plasma")
    assert hub_folder.ask(way.kept / "newer" / "plasma", "SELECT b FROM a") == [(1,), (2,)]
