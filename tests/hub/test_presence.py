"""A home that held files and is empty, unmounted or unreadable makes every night fail."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path
from shutil import which

import hub_folder
import pytest
from hub_fixtures import Cli

from tljh_runbook.errors import HomesLost
from tljh_runbook.hub.backup import capture, components, retention
from tljh_runbook.hub.context import Source
from tljh_runbook.hub.core.settings import KeepSettings
from tljh_runbook.hub.schedule import scheduled
from tljh_runbook.hub.snapshots import snapshot
from tljh_runbook.hub.snapshots.snapshot import Snapshot
from tljh_runbook.hub.upgrade.check import checks
from tljh_runbook.hub.user_data import presence

pytestmark = [
    pytest.mark.usefixtures("repository_there"),
    pytest.mark.skipif(not which("restic"), reason="restic is not installed"),
]


def backup(source: Source) -> Snapshot:
    return capture.create(source, components.chosen(["user-data"]))


def night(source: Source) -> dict[str, object]:
    return scheduled.run(source, "backup", lambda _: None, lambda _: None)


def home(source: Source, user: str = "") -> Path:
    return Path(source.settings.homes) / user


def empty(folder: Path) -> None:
    for path in folder.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def says(source: Source) -> str:
    [found] = [each for each in checks.run(source) if each.name == "user data"]
    return "NO" if isinstance(found.error, HomesLost) else "ok"


def test_empty_homes_fail_every_night_until_they_are_back(source: Source, cli: Cli) -> None:
    kept = replace(source.settings, keep=KeepSettings(last=1, daily=0, weekly=0, monthly=0))
    source = replace(source, settings=kept)
    night(source)
    [good] = snapshot.listed(source.backups)
    assert says(source) == "ok"
    shutil.copytree(home(source), source.hub.root / "aside")
    empty(home(source))
    for _ in range(3):
        with pytest.raises(HomesLost, match="home' is empty") as told:
            night(source)
        assert "tljh-runbook acknowledge" in told.value.hint
    assert says(source) == "NO"
    assert "missing" in cli("backup", "user-data", "--hub", source.hub.prefix).stderr
    retention.remove(source, retention.judge(source, {}))
    assert good in snapshot.listed(source.backups)
    shutil.copytree(source.hub.root / "aside", home(source), dirs_exist_ok=True)
    night(source)
    assert says(source) == "ok"


def test_one_empty_home_is_named_and_can_be_acknowledged(source: Source, cli: Cli) -> None:
    night(source)
    empty(home(source, "bob"))
    with pytest.raises(HomesLost, match="bob' is empty"):
        night(source)
    done = cli("acknowledge", "--json", "--hub", source.hub.prefix)
    assert json.loads(done.stdout) == {str(home(source, "bob")): "is empty"}
    night(source)
    assert says(source) == "ok"
    hub_folder.keep(home(source, "bob") / "new.txt", "x", 0o644)
    night(source)
    empty(home(source, "bob"))  # it held files again, so it is expected again
    with pytest.raises(HomesLost):
        night(source)
    done = cli("acknowledge", "--hub", source.hub.prefix)
    assert "is empty: no longer expected" in done.stdout
    done = cli("acknowledge", "--hub", source.hub.prefix)
    assert done.stdout == "No home directory is missing.\n"


def test_a_disk_that_is_not_mounted_is_a_loss_also_where_new_homes_were_made(
    source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    mounted, real = {str(home(source))}, os.path.ismount
    monkeypatch.setattr(os.path, "ismount", lambda path: str(path) in mounted or real(path))
    backup(source)
    mounted.clear()  # the folder below holds files that users made since
    assert "nothing is mounted at" in backup(source).notes[0]
    assert set(presence.lost(source)) == {
        str(path) for path in (home(source), *home(source).iterdir())
    }
    presence.acknowledge(source)
    assert presence.lost(source) == {}


def test_a_home_that_cannot_be_read_is_a_loss(
    source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    backup(source)
    real = os.scandir

    def stale(path: object) -> object:
        if str(path) == str(home(source, "carol")):
            raise OSError(116, "Stale file handle", str(path))
        return real(path)  # type: ignore[call-overload]

    monkeypatch.setattr(os, "scandir", stale)
    assert presence.lost(source) == {
        str(home(source, "carol")): "cannot be read: Stale file handle"
    }


def test_a_home_of_a_user_who_was_removed_is_no_loss(source: Source) -> None:
    backup(source)
    shutil.rmtree(home(source, "bob"))
    assert list(presence.lost(source)) == [str(home(source, "bob"))]
    database = source.hub.state / "jupyterhub.sqlite"
    hub_folder.change(database, "DELETE FROM users WHERE name = 'bob'")
    assert presence.lost(source) == {}


def test_a_home_that_was_always_empty_is_no_loss(source: Source) -> None:
    empty(home(source, "bob"))
    backup(source)
    assert backup(source).notes == []


def test_a_folder_that_settings_name_no_more_is_no_loss(source: Source) -> None:
    also = source.hub.root / "srv" / "data"
    hub_folder.keep(also / "x", "x", 0o644)
    user_data = replace(source.settings.user_data, also=(str(also),))
    wider = replace(source, settings=replace(source.settings, user_data=user_data))
    backup(wider)
    shutil.rmtree(also)
    assert list(presence.lost(wider)) == [str(also)]
    assert presence.lost(source) == {}


def test_what_an_older_tool_kept_is_expected(source: Source) -> None:
    backup(source)
    (source.hub.work / presence.RECORD).unlink()
    shutil.rmtree(home(source, "carol"))
    empty(home(source, "bob"))  # an older tool does not tell whether it was so then
    assert list(presence.lost(source)) == [str(home(source, "carol"))]
    empty(home(source))
    assert str(home(source)) in presence.lost(source)


def test_a_record_that_is_damaged_counts_as_none(source: Source) -> None:
    backup(source)
    (source.hub.work / presence.RECORD).write_text("[{}]")
    empty(home(source))
    assert str(home(source)) in presence.lost(source)
