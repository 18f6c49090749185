"""A server that starts, and an upgrade that a reboot or a power cut has cut off."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hub_fixtures import Live

from tljh_runbook.hub.core import files
from tljh_runbook.hub.system import services
from tljh_runbook.hub.upgrade import state_file
from tljh_runbook.hub.upgrade.finish import ending
from tljh_runbook.hub.upgrade.stage import stage
from tljh_runbook.hub.upgrade.state_file import Mark
from tljh_runbook.hub.upgrade.swap import rollback_plan
from tljh_runbook.hub.upgrade.swap.environment_swap import NEW
from tljh_runbook.hub.upgrade.swap.rollback_plan import Way


def half_done(live: Live) -> str:
    """Exchange the hub's environment and its settings, as an upgrade has that was cut off.

    Returns the old settings.
    """
    hub, folder = live.hub, stage.place(live.hub).prefix
    files.make_private(hub.work)
    (folder / "hub").mkdir(parents=True)
    (folder / "hub" / "new").touch()
    inodes = (hub.environment.stat().st_ino, (folder / "hub").stat().st_ino)
    way = Way(str(folder), {"hub": inodes}, {str(hub.config_file): True})
    rollback_plan.keep_files(way)
    state_file.write(
        hub, Mark("20260115T220000Z", state_file.SWAPPING, "kept", {}, {}, way.to_json())
    )
    old = hub.config_file.read_text()
    rollback_plan.bring(hub, way, NEW)
    hub.config_file.write_text(f"{old}# new\n")
    return old


def phase(live: Live) -> str:
    found = state_file.read(live.hub)
    return found.phase if found else ""


def test_the_old_files_are_back_before_the_hub_is_started(live: Live) -> None:
    old, manager = half_done(live), live.source.services
    for name in (services.HUB, services.PROXY):
        ending.go_back_at_boot(live.source)
        assert phase(live) == state_file.SWAPPING  # while one of them runs, nothing is exchanged
        manager.stop(name)
    ending.go_back_at_boot(live.source)
    ending.go_back_at_boot(live.source)  # after a second power cut
    assert not (live.hub.environment / "new").exists()
    assert live.hub.python.exists()
    assert live.hub.config_file.read_text() == old
    assert phase(live) == state_file.BACK
    # The server starts them automatically; whoever did it here would wait for who waits for this.
    assert [manager.pid(name) for name in (services.HUB, services.PROXY)] == [None, None]


@pytest.mark.parametrize("left", [state_file.STAGING, state_file.PROVING])
def test_what_is_whole_is_started_as_it_is(live: Live, left: str) -> None:
    half_done(live)
    begun = state_file.read(live.hub)
    assert begun
    state_file.write(live.hub, replace(begun, phase=left))
    for name in (services.HUB, services.PROXY):
        live.source.services.stop(name)
    ending.go_back_at_boot(live.source)
    assert (phase(live), (live.hub.environment / "new").exists()) == (left, True)
