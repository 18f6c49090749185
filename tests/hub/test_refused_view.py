"""A server that allows no private view of its files: upgrades are done in place, and said so."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest
from hub_fixtures import Live, broken_or_unseen
from test_staging import pids, prepared_beside

from tljh_runbook.hub.system import services
from tljh_runbook.hub.upgrade import state_file
from tljh_runbook.hub.upgrade.stage import stage
from tljh_runbook.hub.upgrade.swap import previous
from tljh_runbook.hub.versions import versions

# The limit holds in this namespace of users and below it, nowhere else on the machine.
REFUSE = 'echo 0 > /proc/sys/user/max_mnt_namespaces && exec "$@"'
INSIDE = ["unshare", "--user", "--map-root-user", "sh", "-c", REFUSE, "sh"]


@pytest.fixture
def refused(live: Live) -> Live:
    prepared_beside(live)
    if subprocess.run([*INSIDE, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this machine makes no namespace in which another one could be refused")
    return live


def typed(live: Live, *words: str) -> Any:
    """Type a command of ours where the kernel refuses a private view; return what it printed."""
    command = [*INSIDE, sys.executable, "-m", "tljh_runbook", *words, "--json"]
    done = subprocess.run(
        [*command, "--hub", str(live.hub.prefix)], capture_output=True, text=True, check=False
    )
    return json.loads(done.stdout)


def test_check_says_how_it_would_be_done_and_why(refused: Live) -> None:
    found = {each["check"]: each for each in typed(refused, "check")}
    assert found["way"]["ok"]
    assert found["way"]["found"].startswith("in place: the hub is away")
    assert "no private view of its files: unshare" in found["way"]["warning"]


def test_a_rehearsal_is_refused_and_names_what_can_be_done(refused: Live) -> None:
    end = typed(refused, "rehearse")
    assert "cannot be rehearsed" in end["error"]["message"]
    assert "tljh-runbook upgrade" in end["error"]["hint"]


def test_an_upgrade_is_done_in_place_and_its_guarantees_hold(refused: Live) -> None:
    live, before = refused, pids(refused)
    end = typed(live, "upgrade")
    assert end["error"] is None
    assert end["report"]["forecast"] is None  # nothing was rehearsed
    assert broken_or_unseen(end["report"]) == set()
    assert versions.installed(live.hub).rows()["TLJH"] == "2.0.0"
    assert live.source.services.pid(services.HUB) != before[0]
    assert previous.read(live.hub).labels["TLJH"] == "1.0.0"
    assert state_file.read(live.hub) is None
    assert not stage.place(live.hub).prefix.exists()
    assert live.server.poll() is None
