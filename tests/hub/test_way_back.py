"""The way back: whatever a kill has left, the old version, or the new one, comes to its place."""

from __future__ import annotations

from pathlib import Path

import hub_folder
import pytest

from tljh_runbook.errors import DiskFailed
from tljh_runbook.hub.core import renames
from tljh_runbook.hub.core.layout import Hub
from tljh_runbook.hub.upgrade.swap import environment_swap, rollback_plan
from tljh_runbook.hub.upgrade.swap.environment_swap import NEW, OLD
from tljh_runbook.hub.upgrade.swap.rollback_plan import Way

# Where the two may lie: before the swap, between its two renames, and after it; either way round.
LEFT = {
    "before": ("hub", "stage/hub"),
    "between": ("stage/hub.aside", "stage/hub"),
    "after, in one moment": ("stage/hub", "hub"),
    "after, one after the other": ("stage/hub.aside", "hub"),
    "between, going back": ("stage/hub.aside", "stage/hub"),
    "between, going back from one moment": ("stage/hub", "stage/hub.aside"),
}


@pytest.fixture(params=["in one moment", "one after the other"])
def way_of_renaming(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param != "in one moment":
        monkeypatch.setattr(renames, "RENAMEAT2", None)


@pytest.mark.usefixtures("way_of_renaming")
@pytest.mark.parametrize("wanted", [OLD, NEW])
@pytest.mark.parametrize("left", LEFT.values(), ids=LEFT)
def test_an_environment_comes_to_its_place(
    tmp_path: Path, left: tuple[str, str], wanted: int
) -> None:
    (tmp_path / "stage").mkdir()
    for name, place in zip(("old", "new"), left, strict=True):
        hub_folder.keep(tmp_path / place / "version", name, 0o644)
    inodes = tuple((tmp_path / place).stat().st_ino for place in left)
    way = Way(str(tmp_path / "stage"), {"hub": (inodes[0], inodes[1])})
    for _ in range(2):  # the second time there is nothing to do
        rollback_plan.bring(Hub(tmp_path), way, wanted)
        assert (tmp_path / "hub" / "version").read_text() == ("old", "new")[wanted]
    (other,) = (tmp_path / "stage").glob("*/version")
    assert other.read_text() == ("new", "old")[wanted]


@pytest.mark.usefixtures("way_of_renaming")
def test_what_has_come_to_the_place_meanwhile_is_in_nobodys_way(tmp_path: Path) -> None:
    """An installer that outlived its run has made the folder again, between the two renames."""
    for place, text in (("stage/hub", "old"), ("stage/hub.aside", "new"), ("hub", "third")):
        hub_folder.keep(tmp_path / place / "version", text, 0o644)
    inodes = [(tmp_path / "stage" / name).stat().st_ino for name in ("hub", "hub.aside")]
    way = Way(str(tmp_path / "stage"), {"hub": (inodes[OLD], inodes[NEW])})
    rollback_plan.bring(Hub(tmp_path), way, OLD)
    assert (tmp_path / "hub" / "version").read_text() == "old"
    left = {path.read_text() for path in (tmp_path / "stage").glob("*/version")}
    assert left == {"new", "third"}


def test_an_environment_that_is_gone_leaves_the_place_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "stage").mkdir()
    hub_folder.keep(tmp_path / "hub" / "version", "new", 0o644)
    way = Way(str(tmp_path / "stage"), {"hub": (1, (tmp_path / "hub").stat().st_ino)})
    with pytest.raises(DiskFailed, match="not there any more"):
        rollback_plan.bring(Hub(tmp_path), way, OLD)
    assert (tmp_path / "hub" / "version").read_text() == "new"


@pytest.mark.usefixtures("way_of_renaming")
def test_the_old_environments_alone_are_retained(tmp_path: Path) -> None:
    """Without an exchange in one moment the old one lies under another name."""
    folder = tmp_path / "stage"
    for place, text in (("hub", "old"), ("stage/hub", "new"), ("stage/state/x", "staged")):
        hub_folder.keep(tmp_path / place / "version", text, 0o644)
    inodes = [(path / "hub").stat().st_ino for path in (tmp_path, folder)]
    way = Way(str(folder), {"hub": (inodes[OLD], inodes[NEW])})
    rollback_plan.bring(Hub(tmp_path), way, NEW)
    environment_swap.retain_old(folder, way.environments)
    assert [path.name for path in folder.iterdir()] == ["hub"]
    assert (folder / "hub" / "version").read_text() == "old"
    rollback_plan.bring(Hub(tmp_path), way, OLD)
    assert (tmp_path / "hub" / "version").read_text() == "old"


def test_files_come_back_as_they_were_and_new_ones_go(tmp_path: Path) -> None:
    hub = Hub(tmp_path / "opt" / "tljh")
    unit, fresh = tmp_path / "etc" / "unit", tmp_path / "etc" / "fresh"
    hub_folder.keep(unit, "old", 0o640)
    hub.prefix.mkdir(parents=True)
    way = Way(str(tmp_path / "stage"), {}, files={str(unit): True, str(fresh): False})
    rollback_plan.keep_files(way)
    hub_folder.keep(unit, "new", 0o644)
    hub_folder.keep(fresh, "new", 0o644)
    for live, present in way.files.items():
        rollback_plan.return_file(hub, way, live, present=present)
    assert (unit.read_text(), unit.stat().st_mode & 0o777) == ("old", 0o640)
    assert not fresh.exists()


@pytest.mark.parametrize("later", ["limits:\n  memory: 1G\n  cpu: 2\n", "limits:\n  memory: 8G\n"])
def test_an_edit_of_the_settings_made_since_is_kept(tmp_path: Path, later: str) -> None:
    hub = Hub(tmp_path)
    old, upgraded = "limits:\n  memory: 1G\n", "limits:\n  memory: 1G\n  cpu: 2\n"
    hub_folder.keep(hub.config_file, old, 0o600)
    way = Way(str(tmp_path / "s"), {}, files={str(hub.config_file): True}, config=upgraded)
    rollback_plan.keep_files(way)
    hub.config_file.write_text(later)
    rollback_plan.return_file(hub, way, str(hub.config_file), present=True)
    wanted = old if later == upgraded else later
    assert hub.config_file.read_text() == wanted


def test_a_migrated_database_comes_back_and_the_newer_one_is_kept(tmp_path: Path) -> None:
    live = tmp_path / "hub.sqlite"
    hub_folder.script(live, "CREATE TABLE a (b); INSERT INTO a VALUES (1);")
    way = Way(str(tmp_path / "stage"), {}, databases={"jupyterhub": str(live)})
    rollback_plan.keep_databases(way)
    assert not rollback_plan.return_database(way, "jupyterhub")
    hub_folder.script(live, "PRAGMA journal_mode = wal; ALTER TABLE a ADD COLUMN c;")
    hub_folder.change(live, "INSERT INTO a VALUES (2, 2)")
    assert rollback_plan.return_database(way, "jupyterhub")
    assert hub_folder.ask(live, "SELECT * FROM a") == [(1,)]
    newer = way.kept / "newer" / "jupyterhub"
    assert hub_folder.ask(newer, "SELECT b FROM a") == [(1,), (2,)]
    assert not rollback_plan.return_database(way, "jupyterhub")
