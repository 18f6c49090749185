"""A disk that is full while an upgrade is brought to its end, at each step of it.

The hub's prefix and the notes of the runbook are each on a disk in memory, which has a little more
room each time: every attempt names the disk, and the first one that finds room enough succeeds.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import hub_folder
import pytest
from hub_fixtures import Live, living
from small_disk import Memory, memory_disk

from tljh_runbook.errors import NoSpace
from tljh_runbook.hub.context import Source
from tljh_runbook.hub.core import renames
from tljh_runbook.hub.runs.journal import Journal
from tljh_runbook.hub.system import services
from tljh_runbook.hub.upgrade import in_place, state_file
from tljh_runbook.hub.upgrade.changes import Change
from tljh_runbook.hub.upgrade.finish import ending
from tljh_runbook.hub.upgrade.stage import stage
from tljh_runbook.hub.upgrade.state_file import Mark

ROOM = [0, 1 << 12, 1 << 14, 1 << 16, 1 << 18, 1 << 20, 1 << 22]  # bytes


@dataclass(frozen=True)
class Cut:
    """A hub whose upgrade was cut off when all of it had come to its place."""

    live: Live
    disks: dict[str, Memory]

    @property
    def source(self) -> Source:
        return self.live.source

    def attempts(self, disk: str) -> list[NoSpace]:
        """Resume with ever more room until it succeeds; return what was said before."""
        said = []
        for left in ROOM:
            self.disks[disk].fill(left)
            try:
                with Journal(self.live.hub, "upgrade") as log:
                    ending.resume(self.source, log)
            except NoSpace as error:
                said.append(error)
            else:
                return said
        raise AssertionError("it needed more than any step of it takes")


@pytest.fixture
def cut(tmp_path: Path) -> Iterator[Cut]:
    root = tmp_path / "server"
    with ExitStack() as stack:
        places = {"hub": root / "opt" / "tljh", "notes": root / "var" / "lib" / "tljh-runbook"}
        disks = {name: stack.enter_context(memory_disk(each)) for name, each in places.items()}
        live = stack.enter_context(living(root))
        hub = live.hub
        hub_folder.keep(hub.environment / "version", "old", 0o644)
        with Journal(hub, "upgrade") as log:
            way = in_place.plan(live.source, [Change("TLJH", "1.0.0", "2.0.0")], log)
        begun = Mark("20260115T020000Z", state_file.STAGING, "20260115T010000Z", {"TLJH": "1.0.0"})
        state_file.enter(hub, begun, state_file.SWAPPING, way=way.to_json())
        hub_folder.keep(hub.environment / "version", "new", 0o644)
        hub_folder.keep(hub.config_file, "limits: {cpu: 2}\n", 0o600)
        hub_folder.change(
            hub.state / "jupyterhub.sqlite",
            "UPDATE alembic_version SET version_num = 'f460b0348206'",
        )
        hub_folder.keep(hub.prefix / "installer.log", "new\n", 0o500)
        yield Cut(live, disks)


def settled(cut: Cut, version: str) -> None:
    hub = cut.live.hub
    assert state_file.read(hub) is None
    assert (hub.environment / "version").read_text() == version
    assert not stage.place(hub).prefix.exists()
    assert cut.source.services.pid(services.HUB)


@pytest.fixture(params=["in one moment", "one after the other"])
def way_of_renaming(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param != "in one moment":
        monkeypatch.setattr(renames, "RENAMEAT2", None)


@pytest.mark.usefixtures("way_of_renaming")
@pytest.mark.parametrize("phase", [state_file.SWAPPING, state_file.BACK])
@pytest.mark.parametrize("disk", ["hub", "notes"])
def test_going_back_needs_no_more_than_room(cut: Cut, disk: str, phase: str) -> None:
    hub = cut.live.hub
    now = state_file.read(hub)
    assert now
    state_file.write(hub, replace(now, phase=phase))
    for error in cut.attempts(disk):
        assert f"mounted at {cut.disks[disk].place}" in error.message
        assert "tljh-runbook resume" in error.hint
    settled(cut, "old")
    assert hub_folder.ask(hub.state / "jupyterhub.sqlite", "SELECT * FROM alembic_version") == [
        ("4621fec11365",)
    ]
    assert "memory: '1G'" in hub.config_file.read_text()
