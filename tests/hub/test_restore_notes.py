"""RESTORE.md, carried out literally, restores the hub on the day the tool itself is gone."""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import hub_folder
import pytest

from tljh_runbook.hub.backup import capture, components
from tljh_runbook.hub.context import Source
from tljh_runbook.hub.snapshots import manifest
from tljh_runbook.hub.snapshots.snapshot import Snapshot

# Only these are not carried out here: there is no service to stop, and no index to install from.
LEFT_OUT = re.compile(r"supervisorctl .* (stop|start) |-m pip install |tljh-installer.py ")


def notes(made: Snapshot) -> str:
    return os.fsdecode((made.path / manifest.NOTES).read_bytes())


def blocks(text: str) -> list[str]:
    return re.findall(r"^```sh\n(.*?)^```$", text, flags=re.DOTALL | re.MULTILINE)


def carry_out(made: Snapshot) -> list[str]:
    """Run what the notes say to type, as they say it; return the lines that were left out."""
    left_out: list[str] = []
    for block in blocks(notes(made)):
        typed: list[str] = []
        for line in block.splitlines(keepends=True):
            (left_out if LEFT_OUT.search(line) else typed).append(line)
        done = subprocess.run(
            ["bash", "-e", "-c", "".join(typed)],
            cwd=made.path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
    return left_out


def kept(source: Source) -> dict[str, tuple[int, int, int, bytes]]:
    """Return all that a snapshot of configuration and databases restores."""
    found = hub_folder.contents(source.hub.state) | hub_folder.contents(source.hub.config)
    return {name: what for name, what in found.items() if not name.endswith((".lock", "-shm"))}


def settle(source: Source) -> None:
    """Fold the log of the one database that has one, so that bytes can be compared."""
    for database in source.hub.state.glob("*.sqlite"):
        hub_folder.script(database, "PRAGMA wal_checkpoint(TRUNCATE)")


@pytest.fixture
def made(source: Source) -> Snapshot:
    odd = source.hub.config / "jupyterhub_config.d" / "it's a\nlong $(name).py"
    hub_folder.keep(odd, "c = 1\n", 0o604)
    if os.geteuid() == 0:
        os.chown(odd, 1234, 4321)
        os.chown(source.hub.state / "tljh_plasma.sqlite", 1234, 4321)
    settle(source)
    return capture.create(source, components.every())


def test_what_was_destroyed_comes_back_byte_by_byte(source: Source, made: Snapshot) -> None:
    before = kept(source)
    for path in (source.hub.state, source.hub.config):
        for file in path.rglob("*"):
            if file.is_file():
                file.write_bytes(b"destroyed")
                file.chmod(0o777)
    carry_out(made)
    after = kept(source)
    assert {name: after[name] for name in before} == before
    assert {name for name in after if name not in before} == {
        f"{name}.replaced" for name in before if name.endswith(".sqlite")
    }  # nothing that SQLite may still need is deleted


def test_what_was_deleted_with_its_folders_comes_back(source: Source, made: Snapshot) -> None:
    before = kept(source)
    shutil.rmtree(source.hub.state)
    shutil.rmtree(source.hub.config)
    carry_out(made)
    assert kept(source) == before
    folders = [source.hub.state, source.hub.config, source.hub.state / "rules"]
    assert {folder.stat().st_mode & 0o777 for folder in folders} == {0o700}


def test_a_log_beside_a_database_does_not_play_into_what_was_restored(
    source: Source, made: Snapshot
) -> None:
    database = source.hub.state / "tljh_repo2docker.sqlite"
    log = database.with_name(f"{database.name}-wal")
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("DELETE FROM images")
        connection.commit()
        newer = log.read_bytes()
    log.write_bytes(newer)  # as a hub that was killed leaves it
    assert hub_folder.ask(database, "SELECT count(*) FROM images") == [(0,)]
    log.write_bytes(newer)
    carry_out(made)
    assert len(hub_folder.ask(database, "SELECT * FROM images")) == len(hub_folder.IMAGES)


def test_only_services_and_pip_are_left_to_the_reader(made: Snapshot) -> None:
    left_out = carry_out(made)
    control = [line.split() for line in left_out if "supervisorctl" in line]
    assert [words[-3] for words in control] == ["stop", "start"]
    assert all(Path(words[0]).is_file() for words in control)  # it can be typed as it stands
    pip = [line for line in left_out if " pip install " in line and line[0] != "#"]
    assert len(pip) == 1
    assert hub_folder.OLD_COMMIT in pip[0]


def test_notes_of_a_damaged_snapshot_stop_at_the_first_command(made: Snapshot) -> None:
    (made.path / "config/config/config.yaml").write_text("changed: 1\n")
    first = blocks(notes(made))[0]
    done = subprocess.run(["bash", "-c", first], cwd=made.path, capture_output=True, check=False)
    assert done.returncode == 1


def test_the_hub_is_stopped_first_and_started_last(made: Snapshot) -> None:
    lines = [line for block in blocks(notes(made)) for line in block.splitlines()]
    stop, start = (
        next(number for number, line in enumerate(lines) if f" {word} " in line)
        for word in ("stop", "start")
    )
    changing = [number for number, line in enumerate(lines) if line.startswith(("install", "rm"))]
    assert stop < min(changing)
    assert max(changing) < start


def test_the_notes_say_whose_and_of_when_they_are(source: Source, made: Snapshot) -> None:
    text = notes(made)
    assert str(source.hub.prefix) in text
    assert made.manifest.created in text
    assert "- JupyterHub 4.1.6" in text
    assert Path(made.path, manifest.NOTES).stat().st_mode & 0o777 == 0o600
