"""Real databases, real writers in other processes: no copy may be torn, stale or half committed."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
import sqlite_writer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlite_writer import broken_rules

from tljh_runbook import errors
from tljh_runbook.hub.database import sqlite, sqlite_copy

WRITER = Path(sqlite_writer.__file__)
BOTH_MODES = pytest.mark.parametrize("mode", ["delete", "wal"])
REAL_CP = shutil.which("cp") or "/bin/cp"


@contextmanager
def writer(action: str, path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run the writer, from the moment on at which it is ready until the block ends."""
    command = [sys.executable, os.fspath(WRITER), action, os.fspath(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline() == b"ready\n"
        try:
            yield process
        finally:
            process.stdin.close()
            process.wait()


def ask(path: Path, query: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as database:
        return database.execute(query).fetchall()


def serial(path: Path) -> int:
    value = ask(path, "SELECT serial FROM clock")[0][0]
    assert isinstance(value, int)
    return value


def dump(path: Path) -> dict[object, object]:
    """Return the schema, every row, and what else a database remembers."""
    names = [
        str(name) for (name,) in ask(path, "SELECT name FROM sqlite_master WHERE type = 'table'")
    ]
    rows = "SELECT * FROM "
    found: dict[object, object] = {name: ask(path, rows + quoted(name)) for name in names}
    for setting in ("schema", "page_size", "encoding", "auto_vacuum", "user_version"):
        query = f"PRAGMA {setting}" if setting != "schema" else "SELECT * FROM sqlite_master"
        found["PRAGMA", setting] = ask(path, query)
    return found


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def state(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Return every byte and every modification time."""
    return {file.name: (file.read_bytes(), file.stat().st_mtime_ns) for file in folder.iterdir()}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "hub").mkdir()
    return tmp_path / "hub"


@pytest.fixture
def target(tmp_path: Path) -> Path:
    (tmp_path / "copies").mkdir()
    return tmp_path / "copies" / "copy.sqlite"


def database(folder: Path, mode: str = "delete", name: str = "hub.sqlite") -> Path:
    path = folder / name
    sqlite_writer.create(os.fspath(path), mode)
    return path


def assert_nothing_at(target: Path) -> None:
    assert list(target.parent.iterdir()) == []


# Under load


@BOTH_MODES
def test_a_hundred_copies_under_a_writer_hold_only_committed_rows(
    folder: Path, target: Path, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = database(folder, mode)
    monkeypatch.delattr(sqlite_copy, "_copy_by_sqlite")  # the fast way has to do, every time
    with writer("write", source):
        for _ in range(100):
            newest = serial(source)
            sqlite_copy.copy(source, target)
            assert list(target.parent.iterdir()) == [target]
            assert broken_rules(target) == []
            assert serial(target) >= newest
            assert sqlite.journal_mode(target) == mode
            target.unlink()
        assert serial(source) > newest  # it wrote all the while


@BOTH_MODES
def test_the_rules_notice_what_plain_cp_does_under_the_same_load(
    folder: Path, target: Path, mode: str
) -> None:
    source = database(folder, mode)
    with writer("write", source):
        for _ in range(1000):
            subprocess.run(["cp", "--", source, target], check=True)
            if broken_rules(target):
                return
            for file in target.parent.iterdir():
                file.unlink()
    pytest.fail("a thousand plain copies were all sound: the load proves nothing")


@BOTH_MODES
def test_sqlite_s_own_copy_is_the_way_where_there_is_no_cp(
    folder: Path, target: Path, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = database(folder, mode)
    monkeypatch.setenv("PATH", os.fspath(folder))
    with writer("write", source):
        for _ in range(10):
            sqlite_copy.copy(source, target)
            assert list(target.parent.iterdir()) == [target]
            assert broken_rules(target) == []
            assert sqlite.journal_mode(target) == mode
            assert target.stat().st_mode & 0o777 == 0o600
            target.unlink()


# Writers that died, and logs that start over


def test_a_hot_journal_is_rolled_back_before_the_copy(folder: Path, target: Path) -> None:
    source = database(folder)
    before = dump(source)
    with writer("spilled", source) as process:
        process.kill()
    journal = Path(f"{source}-journal")
    assert journal.stat().st_size > 0
    shutil.copy(source, target)
    assert broken_rules(target) != []  # the rows had reached the file
    target.unlink()
    sqlite_copy.copy(source, target)
    assert dump(target) == before
    assert not journal.exists()


def test_a_log_left_by_a_writer_that_died_is_read_and_left_as_it_is(
    folder: Path, target: Path
) -> None:
    source = database(folder, "wal")
    with (
        writer("backfilled", source) as first,
        writer("once", source),
        writer("spilled", source) as last,
    ):
        first.kill()
        last.kill()
    newest = state(folder)
    assert len(newest["hub.sqlite-wal"][0]) > 0
    sqlite_copy.copy(source, target)
    sqlite.check(source)
    count = sqlite.rows(source)
    assert broken_rules(target) == []
    assert sqlite.rows(target) == count
    del newest["hub.sqlite-shm"]
    assert newest.items() <= state(folder).items()


def test_uncommitted_rows_in_the_log_stay_out(folder: Path, target: Path) -> None:
    source = database(folder, "wal")
    before = dump(source)
    with writer("spilled", source) as process:
        assert Path(f"{source}-wal").stat().st_size > 500_000
        sqlite_copy.copy(source, target)
        assert dump(target) == before
        target.unlink()
        process.kill()
    sqlite_copy.copy(source, target)
    assert dump(target) == before


def cp_that(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Put a ``cp`` first on the PATH that does something else, at exactly the worst moment.

    Its ``$3`` is what to copy and its ``$4`` where to.
    """
    (folder.parent / "bin").mkdir()
    command = folder.parent / "bin" / "cp"
    command.write_text(f'#!/bin/sh\nset -e\n{script}\nexec {REAL_CP} "$@"\n')
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{command.parent}:{os.environ['PATH']}")


@pytest.mark.parametrize("action", ["once", "truncate"])
def test_a_log_that_starts_over_while_it_is_copied_is_copied_again(
    folder: Path, target: Path, action: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = database(folder, "wal")
    torn = folder.parent / "torn"
    half = f"""
        case "$3" in *-wal)
          if [ ! -e {torn}-wal ]; then
            {REAL_CP} {source} {torn}
            head -c 400000 "$3" > {torn}-wal
            {sys.executable} {WRITER} {action} {source} < /dev/null > /dev/null 2>&1
            tail -c +400001 "$3" >> {torn}-wal
            cat {torn}-wal > "$4"
            exit 0
          fi
        esac"""
    cp_that(folder, monkeypatch, half)
    with writer("backfilled", source):
        committed = [serial(source), serial(source) + (action == "once")]
        sqlite_copy.copy(source, target)
    assert serial(torn) not in committed or broken_rules(torn) != []
    assert broken_rules(target) == []
    assert serial(target) in committed


# Locks


@pytest.mark.parametrize(
    ("mode", "action"),
    [("delete", "locked"), ("delete", "pending"), ("delete", "exclusive"), ("wal", "exclusive")],
)
def test_a_lock_that_never_comes_free_is_said_so(
    folder: Path, target: Path, mode: str, action: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = database(folder, mode)
    monkeypatch.setattr(sqlite, "WAIT_SECONDS", 0.1)
    with writer(action, source), pytest.raises(errors.Busy, match=r"hub\.sqlite") as caught:
        sqlite_copy.copy(source, target)
    assert "fuser" in caught.value.hint
    assert_nothing_at(target)


@pytest.mark.parametrize("action", ["locked", "pending"])
def test_a_lock_that_comes_free_is_waited_for(folder: Path, target: Path, action: str) -> None:
    source = database(folder)
    with writer(action, source) as process:
        assert process.stdin is not None
        release = threading.Timer(0.3, process.stdin.close)
        release.start()
        sqlite_copy.copy(source, target)
        release.join()
    assert broken_rules(target) == []


def test_a_writer_is_free_again_after_the_copy(folder: Path, target: Path) -> None:
    source = database(folder)
    sqlite_copy.copy(source, target)
    with writer("locked", source):
        pass


# Properties

values = st.one_of(
    st.none(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False),
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=50),
    st.binary(max_size=6000),
)
tables = st.dictionaries(
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=8)
    .map(str.lower)
    .filter(lambda name: not name.startswith("sqlite_")),
    st.lists(st.tuples(values, values), max_size=20),
    max_size=4,
)


@given(
    content=tables,
    mode=st.sampled_from(["delete", "truncate", "persist", "memory", "off", "wal"]),
    page_size=st.sampled_from([512, 1024, 4096, 65536]),
    vacuum=st.sampled_from(["none", "full", "incremental"]),
    encoding=st.sampled_from(["UTF-8", "UTF-16le"]),
    in_use=st.booleans(),
)
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_copy_equals_its_source(  # noqa: PLR0917 -- one for each dimension
    content: dict[str, list[tuple[object, object]]],
    mode: str,
    page_size: int,
    vacuum: str,
    encoding: str,
    in_use: bool,
) -> None:
    with tempfile.TemporaryDirectory() as place:
        source, target = Path(place, "hub.sqlite"), Path(place, "copy.sqlite")
        with closing(sqlite3.connect(source, isolation_level=None)) as live:
            live.execute(f"PRAGMA page_size = {page_size}")
            live.execute(f"PRAGMA encoding = '{encoding}'")
            live.execute(f"PRAGMA auto_vacuum = {vacuum}")
            live.execute(f"PRAGMA journal_mode = {mode}")
            fill(live, content)
            if not in_use:
                live.close()
            sqlite_copy.copy(source, target)
        assert dump(target) == dump(source)
        assert sqlite.rows(target) == {name: len(rows) for name, rows in content.items()}
        assert sqlite.journal_mode(target) == ("wal" if mode == "wal" else "delete")
        assert {file.name for file in Path(place).iterdir()} <= {
            "hub.sqlite",
            "hub.sqlite-journal",  # kept by "persist"
            "copy.sqlite",
        }


def fill(live: sqlite3.Connection, content: dict[str, list[tuple[object, object]]]) -> None:
    for name, rows in content.items():
        live.execute(f"CREATE TABLE {quoted(name)} (a, b)")
        live.executemany(f"INSERT INTO {quoted(name)} VALUES (?, ?)", rows)  # noqa: S608


# Names and links


@pytest.mark.parametrize(
    "name",
    [b"a b", b"a?mode=memory", b"a#b", b"a%41", b"\xff\xfe", b"'q\"", b"-r", b"a\nb", b"{0}$HOME"],
)
@BOTH_MODES
def test_any_file_name_will_do(folder: Path, tmp_path: Path, mode: str, name: bytes) -> None:
    source = database(folder, mode)
    source = source.rename(folder / os.fsdecode(name))
    (tmp_path / os.fsdecode(name)).mkdir()
    target = tmp_path / os.fsdecode(name) / os.fsdecode(name)
    sqlite_copy.copy(source, target)
    assert broken_rules(target) == []
    assert list(folder.iterdir()) == [source]
    source.write_bytes(b"nonsense" * 100)
    with pytest.raises(errors.DatabaseMissing) as caught:
        sqlite.check(source)
    assert str(caught.value).encode()


def test_a_link_to_the_source_is_followed(folder: Path, target: Path) -> None:
    source = database(folder, "wal")
    (folder / "link").symlink_to(source)
    with writer("backfilled", source), writer("write", source):
        sqlite_copy.copy(folder / "link", target)
    assert broken_rules(target) == []


def test_a_link_at_the_target_is_not_followed(folder: Path, target: Path) -> None:
    source = database(folder)
    for victim in (folder / "victim", folder / "absent"):
        target.symlink_to(victim)
        (folder / "victim").write_text("precious")
        with pytest.raises(FileExistsError):
            sqlite_copy.copy(source, target)
        assert target.is_symlink()
        assert (folder / "victim").read_text() == "precious"
        assert not (folder / "absent").exists()
        target.unlink()


@pytest.mark.parametrize("suffix", ["", "-wal", "-journal", "-shm"])
def test_nothing_is_overwritten_or_played_into_the_copy(
    folder: Path, target: Path, suffix: str
) -> None:
    source = database(folder)
    planted = Path(f"{target}{suffix}")
    planted.write_text("precious")
    with pytest.raises(FileExistsError):
        sqlite_copy.copy(source, target)
    assert [planted] == list(target.parent.iterdir())
    assert planted.read_text() == "precious"


def test_the_copy_is_private_from_the_first_moment(
    folder: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = database(folder, "wal")
    source.chmod(0o644)
    seen = folder.parent / "seen"
    cp_that(folder, monkeypatch, f"stat -L -c %a {target.parent}/* >> {seen}")
    old = os.umask(0)
    try:
        sqlite_copy.copy(source, target)
    finally:
        os.umask(old)
    assert set(seen.read_text().split()) == {"600"}
    assert target.stat().st_mode & 0o777 == 0o600


# Failures


def test_a_source_that_is_not_there(folder: Path, target: Path) -> None:
    for ask_it in (sqlite.check, sqlite.revision, sqlite.rows, sqlite.journal_mode):
        with pytest.raises(errors.DatabaseMissing, match="absent"):
            ask_it(folder / "absent")
    for source in (folder / "absent", folder, folder / "absent" / "deeper"):
        with pytest.raises(errors.DatabaseMissing):
            sqlite_copy.copy(source, target)
    assert_nothing_at(target)
    assert list(folder.iterdir()) == []


@BOTH_MODES
def test_a_source_that_vanishes_meanwhile(
    folder: Path, target: Path, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = database(folder, mode)
    cp_that(folder, monkeypatch, f"rm -f {source}")
    with pytest.raises(errors.DatabaseMissing, match=r"hub\.sqlite"):
        sqlite_copy.copy(source, target)
    assert_nothing_at(target)


def test_a_source_that_is_replaced_meanwhile_is_copied_under_a_lock(
    folder: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, other = database(folder), database(folder, name="other.sqlite")
    cp_that(folder, monkeypatch, f"[ ! -e {other} ] || mv {other} {source}")
    monkeypatch.setattr(sqlite, "WAIT_SECONDS", 0.1)
    with writer("locked", other), pytest.raises(errors.Busy):
        sqlite_copy.copy(source, target)  # the bytes of the other file were read without a lock
    assert_nothing_at(target)


def test_a_bad_copy_is_made_again_through_sqlite(
    folder: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = database(folder)
    cp_that(folder, monkeypatch, 'head -c 9000 "$3" > "$4"; exit 0')
    sqlite_copy.copy(source, target)
    assert dump(target) == dump(source)


def test_an_interrupted_copy_leaves_nothing(
    folder: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = database(folder, "wal")
    cp_that(folder, monkeypatch, f'case "$3" in *-wal) kill -{signal.SIGINT.value} $PPID; esac')
    with pytest.raises(KeyboardInterrupt):
        sqlite_copy.copy(source, target)
    assert_nothing_at(target)


@BOTH_MODES
def test_damage_is_found_named_and_left_alone(folder: Path, target: Path, mode: str) -> None:
    source = database(folder, mode)
    with source.open("r+b") as file:
        file.seek(3 * 4096)
        file.write(os.urandom(4096))
    before = state(folder)
    with pytest.raises(errors.DatabaseDamaged, match=r"hub\.sqlite is damaged.*Nothing"):
        sqlite.check(source)
    with pytest.raises(errors.DatabaseDamaged, match=r"hub\.sqlite is damaged.*Nothing"):
        sqlite_copy.copy(source, target)
    assert_nothing_at(target)
    assert state(folder) == before


def test_a_truncated_database_is_damaged(folder: Path, target: Path) -> None:
    source = database(folder)
    os.truncate(source, 20_000)
    with pytest.raises(errors.DatabaseDamaged):
        sqlite.check(source)
    with pytest.raises(errors.DatabaseDamaged, match=r"hub\.sqlite"):
        sqlite_copy.copy(source, target)
    assert_nothing_at(target)


def test_an_empty_file_is_a_database_without_tables(folder: Path, target: Path) -> None:
    source = folder / "empty.sqlite"
    source.touch()
    sqlite_copy.copy(source, target)
    assert target.stat().st_size == 0
    sqlite.check(target)
    assert sqlite.rows(target) == {}
    assert sqlite.revision(target) is None
    assert sqlite.journal_mode(target) == "delete"


def test_something_else_is_not_a_database(folder: Path, target: Path) -> None:
    (folder / "text").write_text("I am no database. " * 400)
    with pytest.raises(errors.DatabaseMissing, match="not a SQLite database"):
        sqlite.check(folder / "text")
    with pytest.raises(errors.DatabaseMissing, match="not a SQLite database"):
        sqlite_copy.copy(folder / "text", target)
    assert_nothing_at(target)


@contextmanager
def without_rights(path: Path) -> Iterator[None]:
    """Be somebody who may read everything here, and write only beside the copy."""
    for place in (path, *path.parents[:-2]):
        if place.stat().st_uid == os.getuid():
            place.chmod(place.stat().st_mode | 0o055)
    path.chmod(0o444)
    path.parent.chmod(0o555)
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)
        path.parent.chmod(0o755)


def test_a_reader_without_rights_copies_but_cannot_roll_back(folder: Path, target: Path) -> None:
    source = database(folder)
    target.parent.chmod(0o777)
    with without_rights(source):
        sqlite_copy.copy(source, target)
        target.unlink()
    source.chmod(0o600)
    with writer("spilled", source) as process:
        process.kill()
    Path(f"{source}-journal").chmod(0o444)
    before = state(folder)
    with without_rights(source), pytest.raises(errors.AccessDenied) as caught:
        sqlite_copy.copy(source, target)
    assert "root" in caught.value.hint
    assert_nothing_at(target)
    assert state(folder) == before


FULL_DISK = """
import os, sys
from pathlib import Path
from tljh_runbook import errors
from tljh_runbook.hub.database import sqlite, sqlite_copy
source, disk = map(Path, sys.argv[1:])
for kilobytes in [4, 40, 400, 1200, *range(1600, 4000, 100), 20_000]:
    os.system(f"mount -t tmpfs -o size={kilobytes}k small {disk}")
    try:
        sqlite_copy.copy(source, disk / "copy.sqlite")
        sqlite.check(disk / "copy.sqlite")
        print("copied", end=" ")
    except errors.NoSpace as error:
        assert list(disk.iterdir()) == [], list(disk.iterdir())
        assert "df -h" in error.hint and str(disk) in error.message
        print("full", end=" ")
    os.system(f"umount {disk}")
"""


@BOTH_MODES
def test_a_full_disk_is_said_so_whatever_was_being_written(
    folder: Path, target: Path, mode: str
) -> None:
    alone = ["unshare", "--mount"] + ([] if os.geteuid() == 0 else ["--map-root-user"])
    if subprocess.run([*alone, "mount", "-t", "tmpfs", "x", folder], check=False).returncode:
        pytest.skip("no small file system can be mounted here (unshare or mount is refused)")
    source = database(folder, mode)
    with writer("backfilled", source), writer("once", source):
        command = [*alone, sys.executable, "-c", FULL_DISK, str(source), str(target.parent)]
        said = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout.decode().split()
    assert said[:4] == ["full"] * 4
    assert said == sorted(said, reverse=True)  # once there is room for it, more room does no harm
    assert said[-1] == "copied"


# Questions


@BOTH_MODES
def test_questions_are_answered_and_change_nothing(folder: Path, mode: str) -> None:
    source = database(folder, mode)
    before = state(folder)
    sqlite.check(source)
    assert sqlite.journal_mode(source) == mode
    assert sqlite.rows(source) == {
        "account": sqlite_writer.ACCOUNTS,
        "clock": 1,
        "opening": 1,
        "pair": 0,
    }
    assert sqlite.revision(source) is None
    assert state(folder) == before


@BOTH_MODES
def test_questions_to_a_live_database(folder: Path, mode: str) -> None:
    source = database(folder, mode)
    with writer("write", source):
        for _ in range(20):
            assert sqlite.journal_mode(source) == mode
            assert sqlite.rows(source)["pair"] % 2 == 0
    assert broken_rules(source) == []


def test_the_revision_of_a_schema(folder: Path) -> None:
    source = database(folder)
    with closing(sqlite3.connect(source, isolation_level=None)) as live:
        live.execute("CREATE TABLE alembic_version (version_num VARCHAR(32))")
        assert sqlite.revision(source) is None
        live.execute("INSERT INTO alembic_version VALUES ('4621fec11365')")
        assert sqlite.revision(source) == "4621fec11365"


def test_one_select_is_answered_and_nothing_else(folder: Path) -> None:
    source = database(folder)
    assert sqlite.query(source, "SELECT serial, 'a' FROM clock") == [(0, "a")]
    with pytest.raises(errors.AccessDenied):
        sqlite.query(source, "DELETE FROM clock")
    with pytest.raises(errors.DatabaseMissing, match="no such table: users"):
        sqlite.query(source, "SELECT name FROM users")
    assert sqlite.rows(source)["clock"] == 1


def test_no_descriptor_is_left_open(folder: Path, target: Path) -> None:
    source = database(folder, "wal")

    def descriptors() -> list[str]:
        return sorted(os.fspath(entry) for entry in Path("/proc/self/fd").iterdir())

    before = descriptors()
    sqlite_copy.copy(source, target)
    sqlite.rows(target)
    assert descriptors() == before
