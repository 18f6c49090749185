"""An upgrade whose process was killed during the swap: the hub comes back without a person."""

from __future__ import annotations

import os

import pytest
from hub_fixtures import Cli, Live
from test_at_boot import half_done, phase

from tljh_runbook.errors import UpgradeRolledBack
from tljh_runbook.hub.health import health
from tljh_runbook.hub.runs import journal
from tljh_runbook.hub.system import services
from tljh_runbook.hub.upgrade import state_file


def after_kill(live: Live, cli: Cli, code: str) -> int:
    """Run what systemd runs when the process of a run has ended; return its exit code."""
    environment = {**os.environ, "EXIT_CODE": code}
    done = cli("resume", "--after-kill", "--hub", live.hub.prefix, env=environment)
    return done.returncode


def test_after_a_kill_the_old_version_runs_again(live: Live, cli: Cli) -> None:
    old = half_done(live)
    live.source.services.stop(services.HUB)
    assert after_kill(live, cli, "killed") == UpgradeRolledBack.code
    assert phase(live) == ""
    assert live.hub.config_file.read_text() == old
    assert health.look(live.hub, live.source.services).healthy
    end = journal.state(live.hub, "upgrade")["end"]
    assert end["code"] == UpgradeRolledBack.code
    status = cli("status", "--hub", live.hub.prefix).stdout
    assert "The upgrade was rolled back" in status


@pytest.mark.parametrize("code", ["exited", ""])
def test_a_run_that_ended_on_its_own_is_left_alone(live: Live, cli: Cli, code: str) -> None:
    half_done(live)
    assert after_kill(live, cli, code) == 0
    assert phase(live) == state_file.SWAPPING


def test_without_an_upgrade_there_is_nothing_to_resume(live: Live, cli: Cli) -> None:
    assert after_kill(live, cli, "killed") == 0
