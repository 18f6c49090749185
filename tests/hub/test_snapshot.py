"""Snapshots are whole or not there, and every changed byte is found."""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import hub_folder
import pytest
from hub_fixtures import until

from tljh_runbook.errors import (
    Busy,
    DatabaseDamaged,
    NoSpace,
    SettingsInvalid,
    SnapshotDamaged,
    SnapshotMissing,
)
from tljh_runbook.hub.backup import capture, components
from tljh_runbook.hub.context import Source
from tljh_runbook.hub.runs import lock
from tljh_runbook.hub.snapshots import draft, manifest, snapshot
from tljh_runbook.hub.snapshots.snapshot import Snapshot


def backup(source: Source, *names: str) -> Snapshot:
    return capture.create(source, components.chosen(names))


@pytest.fixture
def made(source: Source) -> Snapshot:
    return backup(source)


def everything(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def is_damaged(path: Path) -> bool:
    try:
        snapshot.verify(path)
    except SnapshotDamaged:
        return True
    return False


def left_in(source: Source) -> list[str]:
    return sorted(path.name for path in source.backups.iterdir()) if source.backups.exists() else []


def test_a_snapshot_holds_every_component_with_mode_and_owner(
    source: Source, made: Snapshot
) -> None:
    entries = {entry.path: entry for entry in made.manifest.files}
    state = source.hub.state
    assert set(made.manifest.components) == {each.name for each in components.every()}
    assert {
        "config/config/config.yaml",
        "config/config/jupyterhub_config.d/extra.py",
        "config/state/acme.json",
        "config/state/jupyterhub_cookie_secret",
        "config/state/rules/rules.toml",
        "config/state/tljh_repo2docker_cookie_secret",
        "config/state/traefik-api.secret",
        "database/jupyterhub.sqlite",
        "database/tljh_plasma.sqlite",
        "database/tljh_repo2docker.sqlite",
        "environments/environments.json",
        "plugin/requirements.txt",
    } <= set(entries)
    secret = entries["config/state/jupyterhub_cookie_secret"]
    assert (secret.mode, secret.origin) == (0o600, f"{state}/jupyterhub_cookie_secret")
    assert entries["database/jupyterhub.sqlite"].mode == 0o644
    copy = made.path / "config/state/jupyterhub_cookie_secret"
    assert copy.read_bytes() == (state / "jupyterhub_cookie_secret").read_bytes()


def test_rows_and_revisions_are_remembered(made: Snapshot) -> None:
    kept = made.manifest.components["database"]
    assert kept["jupyterhub"]["revision"] == "4621fec11365"
    assert kept["jupyterhub"]["rows"]["users"] == 3
    assert kept["plasma"]["rows"] == {"permissions": 2}
    assert kept["repo2docker"]["rows"]["images"] == 2


def test_a_link_of_an_administrator_is_kept_with_what_it_leads_to(source: Source) -> None:
    elsewhere = source.hub.root / "etc" / "hub.yaml"
    source.hub.config_file.rename(elsewhere)
    source.hub.config_file.symlink_to(elsewhere)
    made = backup(source, "config")
    assert (made.path / "config/config/config.yaml").read_bytes() == elsewhere.read_bytes()


def test_only_what_was_named_is_kept(source: Source) -> None:
    made = backup(source, "database")
    assert list(made.manifest.components) == ["database"]
    assert {entry.component for entry in made.manifest.files} == {"database"}


def test_nobody_else_may_look_into_a_snapshot(source: Source) -> None:
    before = os.umask(0)
    try:
        made = backup(source)
    finally:
        os.umask(before)
    paths = [made.path, *made.path.rglob("*")]
    modes = {stat.S_IMODE(path.stat().st_mode) for path in paths if path.is_dir()}
    assert modes == {0o700}
    assert {stat.S_IMODE(path.stat().st_mode) for path in everything(made.path)} == {0o600}
    assert stat.S_IMODE(source.backups.stat().st_mode) == 0o700


def test_snapshots_are_named_after_their_time_in_utc(made: Snapshot) -> None:
    assert re.fullmatch(r"\d{8}T\d{6}Z", made.path.name)
    assert made.path.name == made.manifest.id
    assert 0 <= made.age < 60


def test_many_in_one_second_are_kept_apart_and_in_order(source: Source) -> None:
    names = [backup(source, "config").path.name for _ in range(8)]
    assert len(set(names)) == 8
    assert [path.name for path in snapshot.listed(source.backups)] == names
    assert snapshot.find(source.backups, None).name == names[-1]
    assert any("-" in name for name in names), "no two of them fell into one second"


def test_a_whole_snapshot_passes_and_coreutils_agree(made: Snapshot) -> None:
    assert snapshot.verify(made.path) == made
    done = subprocess.run(
        ["sha256sum", "--check", "--strict", "--quiet", manifest.SUMS], cwd=made.path, check=False
    )
    assert done.returncode == 0


@pytest.mark.parametrize(
    "name", ["a\nb.py", "a\\b.py", "a\rb.py", "caf\udce9.py", " a b .py", "-rf.py"]
)
def test_a_file_of_any_name_is_kept_and_found_damaged(source: Source, name: str) -> None:
    file = source.hub.config / "jupyterhub_config.d" / name
    file.write_text("c = 1\n")
    made = backup(source, "config")
    assert snapshot.verify(made.path) == made
    check = ["sha256sum", "--check", "--strict", "--quiet", manifest.SUMS]
    assert subprocess.run(check, cwd=made.path, check=False).returncode == 0
    (made.path / "config/config/jupyterhub_config.d" / name).write_text("c = 2\n")
    assert is_damaged(made.path)


def test_a_flip_of_one_byte_anywhere_is_found(made: Snapshot) -> None:
    chance = random.Random(20260115)  # noqa: S311
    files = [path for path in everything(made.path) if path.stat().st_size]
    for number in range(500):
        # Each file in turn, so that small ones have their share.
        file = files[number % len(files)]
        whole = file.read_bytes()
        place = chance.randrange(len(whole))
        flipped = bytes([whole[place] ^ (1 << chance.randrange(8))])
        file.write_bytes(whole[:place] + flipped + whole[place + 1 :])
        assert is_damaged(made.path), f"{file.name}, byte {place}"
        file.write_bytes(whole)
    assert not is_damaged(made.path)


def test_every_byte_of_the_seal_counts(made: Snapshot) -> None:
    file = made.path / manifest.NAME
    whole = file.read_bytes()
    for place in range(0, len(whole), 31):
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        assert is_damaged(made.path), f"byte {place}"


@pytest.mark.parametrize("place", [0, -1])
def test_every_file_that_is_cut_or_longer_is_found(made: Snapshot, place: int) -> None:
    for file in everything(made.path):
        whole = file.read_bytes()
        file.write_bytes(whole[:place] if whole and place else whole + b"\0")
        assert is_damaged(made.path), file.name
        file.write_bytes(whole)


def test_every_file_that_is_missing_is_found_and_named(made: Snapshot) -> None:
    for file in everything(made.path):
        file.rename(made.path.parent / "aside")
        with pytest.raises(SnapshotDamaged, match=re.escape(file.name)):
            snapshot.verify(made.path)
        (made.path.parent / "aside").rename(file)


@pytest.mark.parametrize(
    "name", ["extra", "config/extra", "new/folder/extra", ".hidden", "reports"]
)
def test_a_file_that_is_not_sealed_is_found(made: Snapshot, name: str) -> None:
    (made.path / name).parent.mkdir(parents=True, exist_ok=True)
    (made.path / name).write_text("")
    with pytest.raises(SnapshotDamaged, match=f"{name} is not part of it"):
        snapshot.verify(made.path)


def test_a_link_in_the_place_of_a_file_is_found(made: Snapshot) -> None:
    for file in everything(made.path):
        moved = made.path.parent / "aside"
        file.rename(moved)
        file.symlink_to(moved)
        assert is_damaged(made.path), file.name
        file.unlink()
        moved.rename(file)


def test_a_link_in_the_place_of_a_folder_is_found(made: Snapshot) -> None:
    (made.path / "database").rename(made.path.parent / "aside")
    (made.path / "database").symlink_to(made.path.parent / "aside")
    assert is_damaged(made.path)


@pytest.mark.timeout(20)
def test_a_fifo_in_the_place_of_a_file_is_found_at_once(made: Snapshot) -> None:
    for name in (manifest.NAME, manifest.SUMS, "plugin/requirements.txt"):
        file = made.path / name
        file.rename(made.path.parent / "aside")
        os.mkfifo(file)
        assert is_damaged(made.path), name
        file.unlink()
        (made.path.parent / "aside").rename(file)


def test_reports_are_written_after_the_seal(made: Snapshot) -> None:
    made.reports.mkdir()
    (made.reports / "upgrade.json").write_text("{}")
    assert not is_damaged(made.path)


def test_a_snapshot_under_another_name_is_damaged(made: Snapshot) -> None:
    other = made.path.with_name("20200101T000000Z")
    made.path.rename(other)
    with pytest.raises(SnapshotDamaged, match=f"belongs to the snapshot {made.manifest.id}"):
        snapshot.verify(other)


def test_a_newer_format_is_told(made: Snapshot) -> None:
    newer = replace(made.manifest, format=manifest.FORMAT + 1)
    (made.path / manifest.NAME).write_bytes(newer.to_bytes())
    with pytest.raises(SnapshotDamaged, match=f"has format {manifest.FORMAT + 1}"):
        snapshot.verify(made.path)


def test_only_snapshots_are_listed(source: Source, made: Snapshot) -> None:
    for name in (
        "lost+found",
        "restic",
        "20260101T000000Z.old",
        ".partial-20260101T000000Z",
        "zzz",
    ):
        (source.backups / name).mkdir()
    (source.backups / "notes.txt").write_text("")
    assert snapshot.listed(source.backups) == [made.path]
    assert snapshot.find(source.backups, None) == made.path


@pytest.mark.parametrize("name", ["20200101T000000Z", "", "..", "../backups", ".partial-1", "x/y"])
def test_a_snapshot_that_is_not_there_is_told(source: Source, made: Snapshot, name: str) -> None:
    with pytest.raises(SnapshotMissing):
        snapshot.find(source.backups, name)


def test_without_any_snapshot_the_way_to_one_is_told(source: Source) -> None:
    with pytest.raises(SnapshotMissing) as told:
        snapshot.find(source.backups, None)
    assert "tljh-runbook backup" in told.value.hint


def test_while_another_run_works_nothing_is_made(source: Source) -> None:
    with lock.hold(source.hub, "a test"), pytest.raises(Busy):
        backup(source)
    assert left_in(source) == []


def test_a_file_in_the_place_of_the_folder_is_told(source: Source) -> None:
    hub_folder.keep(source.backups, "", 0o644)
    with pytest.raises(SettingsInvalid):
        backup(source)


def test_what_fails_leaves_nothing_half_written(source: Source) -> None:
    (source.hub.state / "tljh_plasma.sqlite").write_bytes(b"no database" * 100)
    with pytest.raises(Exception, match="not a SQLite database"):
        backup(source)
    assert left_in(source) == []


def test_a_disk_that_is_too_small_is_told_beforehand(source: Source, tmp_path: Path) -> None:
    with small_disk(tmp_path, "4m") as disk, pytest.raises(NoSpace, match="No snapshot was made"):
        backup(on(source, disk))
    assert left_in(source) == []


def test_a_disk_that_is_full_in_the_middle_leaves_nothing(source: Source, tmp_path: Path) -> None:
    # Small files, each in a block of its own: they need more room than their sizes say.
    for number in range(2000):
        hub_folder.keep(source.hub.config / "jupyterhub_config.d" / f"{number}.py", "1", 0o600)
    with small_disk(tmp_path, "17m", inodes=500) as disk:
        there = on(source, disk)
        with pytest.raises(NoSpace, match=r"is full: .* No snapshot was made"):
            backup(there)
        assert left_in(there) == []
        assert len(backup(there, "plugin").manifest.files) > 0


def on(source: Source, disk: Path) -> Source:
    return replace(source, settings=replace(source.settings, backups=str(disk / "backups")))


@contextmanager
def small_disk(folder: Path, size: str, inodes: int = 0) -> Iterator[Path]:
    """A real disk of its own, of this size."""
    disk = folder / "disk"
    disk.mkdir()
    options = f"size={size},nr_inodes={inodes}"
    mount = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a small disk needs the right to mount one")
    try:
        yield disk
    finally:
        subprocess.run(["umount", str(disk)], check=True)


SLOW = 400  # files: enough for a signal to come in the middle


@contextmanager
def half_way(source: Source) -> Iterator[subprocess.Popen[str]]:
    """Run a backup in a process of its own, up to the middle of it."""
    folder = source.hub.config / "traefik_config.d"
    folder.mkdir()
    for number in range(SLOW):
        (folder / f"{number}.toml").write_text("[a]\n")
    command = [sys.executable, "-m", "tljh_runbook", "backup", "--hub", str(source.hub.prefix)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        begun = f"{draft.PARTIAL}*/config/config/traefik_config.d/*"
        until(lambda: any(source.backups.glob(begun)))
        yield process


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)], ids=["SIGTERM", "Ctrl-C"]
)
def test_an_interruption_leaves_nothing(source: Source, number: signal.Signals, code: int) -> None:
    with half_way(source) as process:
        process.send_signal(number)
        said = process.communicate()[1]
    assert process.returncode == code
    assert "Traceback" not in said
    assert left_in(source) == []


def test_after_a_killed_backup_the_next_one_cleans_up(source: Source) -> None:
    with half_way(source) as process:
        process.kill()
    assert [name[:9] for name in left_in(source)] == [draft.PARTIAL]
    assert snapshot.listed(source.backups) == []
    made = backup(source)
    assert left_in(source) == [made.path.name]
    assert not is_damaged(made.path)


BUILDER = """\
import itertools, sqlite3, sys
database = sqlite3.connect(sys.argv[1], timeout=60)
for number in itertools.count():
    database.execute("INSERT INTO images VALUES (?, 'x', '', '', '')", (f"n{number}",))
    database.commit()
    number or print("ready", flush=True)
"""


def test_a_hub_that_is_in_use_is_captured_whole(source: Source) -> None:
    database = source.hub.state / "tljh_repo2docker.sqlite"
    command = [sys.executable, "-c", BUILDER, str(database)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        made = backup(source, "database")
        process.kill()
    copy = made.path / "database" / database.name
    rows = made.manifest.components["database"]["repo2docker"]["rows"]["images"]
    shutil.copy(copy, source.hub.root / "look.sqlite")
    counted = hub_folder.ask(source.hub.root / "look.sqlite", "SELECT count(*) FROM images")
    assert counted == [(rows,)]
    assert rows > 2


def test_age_is_counted_from_when_it_was_made(made: Snapshot) -> None:
    hour_ago = time.strftime(manifest.CREATED, time.gmtime(time.time() - 3600))
    old = replace(made, manifest=replace(made.manifest, created=hour_ago))
    assert 3600 <= old.age < 3700


def test_the_tenth_snapshot_of_a_second_comes_after_the_second(source: Source) -> None:
    names = ["20260101T000000Z", *(f"20260101T000000Z-{number}" for number in range(2, 12))]
    for name in names:
        (source.backups / name).mkdir(parents=True)
    assert [path.name for path in snapshot.listed(source.backups)] == names


def test_the_unfinished_snapshot_of_another_hub_is_left_alone(source: Source) -> None:
    other = source.backups / ".partial-00000000-20260101T000000Z"
    other.mkdir(parents=True)
    capture.create(source, components.every())
    assert other.is_dir()


def test_an_empty_database_is_damaged_not_sound(source: Source) -> None:
    """A full disk leaves such a file, and SQLite takes it for a database without tables."""
    (source.hub.state / "jupyterhub.sqlite").write_bytes(b"")
    with pytest.raises(DatabaseDamaged, match="holds no table"):
        capture.create(source, components.every())
    assert snapshot.listed(source.backups) == []
