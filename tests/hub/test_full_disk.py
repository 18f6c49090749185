"""A disk that is full at some moment of an upgrade: the hub is old or new, never between.

The hub's prefix and what the runbook notes of an upgrade lie each on a small disk of its own,
which a real file fills when the upgrade has come to a phase.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hub_folder
import pytest
from hub_fixtures import IF_NEW, Live, living, resume, until
from small_disk import Disk, small_disk
from test_staging import PREPARING, everything, pids, prepared_beside, start, texts

from tljh_runbook.errors import InstallerFailed, NoSpace, RehearsalFailed, UpgradeRolledBack
from tljh_runbook.hub.core import config
from tljh_runbook.hub.database import databases, sqlite
from tljh_runbook.hub.runs import worker
from tljh_runbook.hub.system import services
from tljh_runbook.hub.upgrade import state_file
from tljh_runbook.hub.upgrade.stage import stage
from tljh_runbook.hub.upgrade.swap import previous
from tljh_runbook.hub.versions import versions

pytestmark = pytest.mark.long
# It ends only when it may: what happens while a hub is stopped can be waited for.
HUB = """\
import os
import pathlib
import signal
import sys
import time

folder = pathlib.Path(sys.argv[1])


def end(*_):
    while (folder / "stay").exists():
        time.sleep(0.02)
    os._exit(0)


signal.signal(signal.SIGTERM, end)
(folder / "ready").write_text(str(os.getpid()))
while True:
    signal.pause()
"""
WAITS = f"""\
{IF_NEW}
    import pathlib
    import time

    while pathlib.Path({{name!r}}).exists():
        time.sleep(0.05)
"""


@dataclass(frozen=True)
class Small:
    """A hub whose disks are small, and filled on demand."""

    live: Live
    disks: dict[str, Disk]
    before: dict[str, Any]

    @property
    def srv(self) -> Path:
        return self.live.hub.root / "srv"

    def begin(self, *held: str) -> None:
        """Start an upgrade that is held where these files lie."""
        for name in held:
            (self.srv / name).touch()
        start(self.live, "upgrade")

    def begin_a_sick_one(self) -> None:
        """Start an upgrade after which the hub does not answer as it should."""
        self.begin("wait")
        until(lambda: PREPARING in texts(self.live), seconds=120)
        self.live.answer("/hub/login", 502)
        self.release("wait")

    def release(self, name: str) -> None:
        (self.srv / name).unlink()

    def waits_in(self, phase: str) -> None:
        hub = self.live.hub
        until(lambda: (now := state_file.read(hub)) is not None and now.phase == phase, seconds=240)

    def end(self) -> dict[str, Any]:
        return worker.follow(self.live.hub, "upgrade", lambda _: None)

    def resume(self) -> None:
        resume(self.live)

    def settled(self) -> None:
        """Hold what must be so in the end, whatever happened."""
        live = self.live
        assert state_file.read(live.hub) is None
        for folder in (stage.place(live.hub).prefix, stage.beside(live.hub)):
            assert not folder.exists()
        found = databases.find(live.hub, live.source.services, live.source.settings)
        for path in found.values():
            sqlite.check(path)  # type: ignore[arg-type]
        assert all(pids(live))
        assert live.server.poll() is None

    def old(self) -> bool:
        """Say whether the hub is the old one, to the last byte.

        On a full disk SQLite leaves what it keeps beside a database: empty, and taken by whoever
        opens it next.
        """
        now = everything(self.live.hub)
        beside = {name for name in now if name.endswith(("-wal", "-shm"))} - set(self.before)
        return {name: each for name, each in now.items() if name not in beside} == self.before

    def new(self) -> bool:
        label = versions.installed(self.live.hub).rows()["TLJH"]
        return label == "2.0.0" and config.read(self.live.hub)["limits.cpu"] == 2


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Small]:
    root = tmp_path / "server"
    hub_folder.keep(tmp_path / "hub.py", HUB, 0o644)
    (root / "srv").mkdir(parents=True)
    command = f"{sys.executable} {tmp_path}/hub.py {root}/srv"
    places = {"hub": (root / "opt" / "tljh", 4096), "notes": (root / "var/lib/tljh-runbook", 256)}
    with (
        small_disk(*_place(tmp_path, places, "hub")) as hub,
        small_disk(*_place(tmp_path, places, "notes")) as notes,
        living(root, hub_command=command) as live,
    ):
        settings = live.hub.settings_file.read_text(encoding="utf-8")
        live.hub.settings_file.write_text(settings.replace("within: 20", "within: 10"))
        # So that copying takes a while, and rehearsing as long as it is to.
        hub_folder.keep(live.hub.environment / "large", os.urandom(200 << 20), 0o644)
        (loaded,) = live.hub.environment.glob(
            "lib/python3*/site-packages/tljh/jupyterhub_config.py"
        )
        loaded.write_text(WAITS.format(name=str(root / "srv" / "rehearse")), encoding="utf-8")
        prepared_beside(live)
        yield Small(live, {"hub": hub, "notes": notes}, everything(live.hub))


def _place(folder: Path, places: dict[str, tuple[Path, int]], name: str) -> tuple[Path, Path, int]:
    place, size = places[name]
    return place, folder / f"{name}.disk", size


def copying(small: Small) -> Callable[[], None]:
    small.begin()
    until((stage.place(small.live.hub).prefix / "hub").exists, seconds=120)
    return lambda: None


def installing(small: Small) -> Callable[[], None]:
    small.begin("wait")
    until(lambda: PREPARING in texts(small.live), seconds=120)
    return lambda: small.release("wait")


def rehearsing(small: Small) -> Callable[[], None]:
    small.begin("rehearse")
    until(lambda: "Rehearse" in texts(small.live), seconds=120)
    return lambda: small.release("rehearse")


@pytest.mark.parametrize("disk", ["hub", "notes"])
@pytest.mark.parametrize("come_to", [copying, installing, rehearsing])
def test_before_the_swap_nothing_live_is_touched(
    small: Small, come_to: Callable[[Small], Callable[[], None]], disk: str
) -> None:
    running = pids(small.live)
    go_on = come_to(small)
    small.disks[disk].fill()
    go_on()
    end = small.end()
    small.disks[disk].relieve()
    assert end["code"] in {each.code for each in (NoSpace, InstallerFailed, RehearsalFailed)}
    assert re.search("No space left|full|no room left", end["error"]["message"])
    assert small.old()
    assert pids(small.live) == running
    small.settled()


@pytest.mark.parametrize("left", [0, 128 << 10, 512 << 10])
@pytest.mark.parametrize("disk", ["hub", "notes"])
def test_a_swap_that_finds_no_room_is_rolled_back(small: Small, disk: str, left: int) -> None:
    small.begin("stay")
    small.waits_in(state_file.SWAPPING)
    small.disks[disk].fill(left)
    small.release("stay")
    end = small.end()
    small.disks[disk].relieve()
    small.settled()
    if end["error"]:
        assert end["code"] == UpgradeRolledBack.code
        assert "full" in end["error"]["message"]
        assert small.old()
    else:
        assert left or disk == "notes"
        assert small.new()


@pytest.mark.parametrize("disk", ["hub", "notes"])
def test_a_new_version_that_cannot_be_looked_at_or_kept_for_want_of_room(
    small: Small, disk: str
) -> None:
    small.begin_a_sick_one()
    small.waits_in(state_file.PROVING)
    small.disks[disk].fill()
    small.live.answer("/hub/login", 200, "<form>")
    end = small.end()
    small.disks[disk].relieve()
    if end["code"] == UpgradeRolledBack.code:
        assert re.search("full|no room left", end["error"]["message"])
        small.settled()
        assert small.old()
        return
    if end["error"]:
        assert "The new version runs" in end["error"]["message"]
        assert "tljh-runbook resume" in end["error"]["hint"]
        small.resume()
    small.settled()
    assert small.new()
    assert previous.read(small.live.hub).labels["TLJH"] == "1.0.0"


@pytest.mark.parametrize("disk", ["hub", "notes"])
def test_the_way_back_makes_room_for_itself(small: Small, disk: str) -> None:
    """The database was migrated, so that it must be put back: a full disk has no room for it."""
    live = small.live
    small.begin_a_sick_one()
    small.waits_in(state_file.PROVING)
    until(lambda: (small.srv / "ready").read_text() == str(live.source.services.pid(services.HUB)))
    (small.srv / "stay").touch()
    database = live.hub.state / "jupyterhub.sqlite"
    hub_folder.change(database, "UPDATE alembic_version SET version_num = 'f460b0348206'")
    small.waits_in(state_file.BACK)
    small.disks[disk].fill()
    live.answer("/hub/login", 200, "<form>")
    small.release("stay")
    end = small.end()
    if end["code"] != UpgradeRolledBack.code:
        assert disk == "notes"  # where the newer database is kept
        assert "The old version is in its place" in end["error"]["message"]
        assert "tljh-runbook resume" in end["error"]["hint"]
        small.disks[disk].relieve()
        small.resume()
    small.disks[disk].relieve()
    small.settled()
    assert small.old()
