"""Upgrades that are killed at moments chosen by chance: the hub is old or new, never between.

`./invoke test.nightly` tries twenty moments, `./invoke test.faults` fifty (--kills says how many).
The usual tests kill an upgrade before and after each phase: test_transitions.
"""

from __future__ import annotations

import os
import random
import signal
import time

import hub_folder
import pytest
from hub_fixtures import Live, living, resume, until
from test_staging import everything, prepared_beside, start

from tljh_runbook.hub.database import databases, sqlite
from tljh_runbook.hub.runs import journal, lock
from tljh_runbook.hub.system import services
from tljh_runbook.hub.upgrade import state_file
from tljh_runbook.hub.upgrade.stage import stage
from tljh_runbook.hub.versions import versions

pytestmark = [pytest.mark.long, pytest.mark.nightly]


def ended(live: Live) -> bool:
    return journal.state(live.hub, "upgrade")["end"] is not None


@pytest.fixture(scope="module")
def usual(tmp_path_factory: pytest.TempPathFactory) -> float:
    """How long an upgrade takes that nobody kills, in seconds."""
    with living(tmp_path_factory.mktemp("usual") / "server") as live:
        prepared_beside(live)
        began = time.monotonic()
        start(live, "upgrade")
        until(lambda: ended(live), seconds=120)
        return time.monotonic() - began


def test_it_is_old_or_new(live: Live, usual: float, kill: int) -> None:
    prepared_beside(live)
    before = everything(live.hub)
    moment = usual * random.Random(kill).random()  # noqa: S311 - to be tried again
    began = time.monotonic()
    start(live, "upgrade")
    pid = int(journal.read(live.hub, "upgrade")[0]["pid"])
    until(lambda: ended(live) or time.monotonic() - began > moment, seconds=120)
    if not ended(live):
        os.kill(pid, signal.SIGKILL)
    until(lambda: not lock.held(live.hub), seconds=120)
    resume(live)
    assert state_file.read(live.hub) is None
    assert not stage.place(live.hub).prefix.exists()
    new = versions.installed(live.hub).rows()["TLJH"] == "2.0.0"
    wanted = ["cpu: 2" in live.hub.config_file.read_text(encoding="utf-8"), new]
    assert wanted in ([True, True], [False, False])
    if not new:
        assert everything(live.hub) == before
    for path in databases.find(live.hub, live.source.services, live.source.settings).values():
        sqlite.check(path)  # type: ignore[arg-type]
    assert all(live.source.services.pid(name) for name in (services.HUB, services.PROXY))
    assert live.server.poll() is None
    assert hub_folder.ask(live.hub.state / "jupyterhub.sqlite", "SELECT count(*) FROM users") == [
        (3,)
    ]
