"""A backup of a hub that has lost something says so."""

from __future__ import annotations

from pathlib import Path
from shutil import which

import pytest

from tljh_runbook.hub.backup import capture, components
from tljh_runbook.hub.context import Source
from tljh_runbook.hub.snapshots.snapshot import Snapshot


def backup(source: Source, *names: str) -> Snapshot:
    return capture.create(source, components.chosen(names))


def test_nothing_was_lost(source: Source) -> None:
    assert backup(source, "config", "database").notes == []
    assert backup(source, "config").notes == []
    assert backup(source, "config", "database").notes == []


def test_a_database_and_the_settings_are_gone(source: Source) -> None:
    backup(source, "config", "database")
    backup(source, "plugin")  # of another kind: not compared
    (source.hub.state / "tljh_plasma.sqlite").unlink()
    source.hub.config_file.unlink()
    [note] = backup(source, "config", "database").notes
    assert "the database plasma is gone" in note
    assert "config.yaml is gone" in note


@pytest.mark.skipif(not which("restic"), reason="restic is not installed")
def test_most_files_of_users_are_gone(source: Source) -> None:
    backup(source, "user-data")
    files = [path for path in Path(source.settings.homes).rglob("*") if path.is_file()]
    for path in files[1:]:
        path.unlink()
    [note] = backup(source, "user-data").notes
    assert f"1 files of users, {len(files)} then" in note
