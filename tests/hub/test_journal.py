"""What an upgrade does can be read by others, while it does it and afterwards."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tljh_runbook.errors import UpgradeCutOff
from tljh_runbook.hub import journal, lock, worker
from tljh_runbook.hub.journal import Journal
from tljh_runbook.hub.layout import Hub


@pytest.fixture
def hub(tmp_path: Path) -> Hub:
    return Hub(tmp_path / "opt" / "tljh")


def texts(hub: Hub) -> list[str]:
    return [event["text"] for event in journal.read(hub) if "text" in event]


def test_without_an_upgrade_there_is_no_journal(hub: Hub) -> None:
    assert journal.state(hub) == {"running": False, "events": [], "end": None}


def test_events_are_read_in_their_order(hub: Hub) -> None:
    log = Journal(hub)
    log.phase("Install")
    log.line("Collecting é \x85 \u2028 x")
    log.line("")
    log.end(0, error=None)
    kinds = [event["kind"] for event in journal.read(hub)]
    assert kinds == ["phase", "line", "end"]
    assert texts(hub) == ["Install", "Collecting é \x85 \u2028 x"]
    assert (hub.work / journal.NAME).stat().st_mode & 0o777 == 0o600


def test_a_line_that_is_being_written_is_left_out(hub: Hub) -> None:
    log = Journal(hub)
    log.phase("Install")
    log.phase("Restart")
    file = hub.work / journal.NAME
    whole = file.read_bytes()
    for length in range(whole.index(b"\n") + 1, len(whole)):
        file.write_bytes(whole[:length])
        assert texts(hub) == ["Install"]


def test_a_new_upgrade_begins_a_new_journal(hub: Hub) -> None:
    Journal(hub).phase("Old")
    Journal(hub).phase("New")
    assert texts(hub) == ["New"]


def test_an_upgrade_runs_while_its_lock_is_held_and_it_has_no_end(hub: Hub) -> None:
    with lock.hold(hub, "the upgrade"):
        assert not journal.state(hub)["running"]
        log = Journal(hub)
        log.phase("Install")
        assert journal.state(hub)["running"]
        log.end(23, error={"message": "m"})
        state = journal.state(hub)
    assert not state["running"]
    assert state["end"]["code"] == 23


CUT_OFF = """\
import os, pathlib, signal, sys
from tljh_runbook.hub import layout, lock
from tljh_runbook.hub.journal import Journal
hub = layout.Hub(pathlib.Path(sys.argv[1]))
with lock.hold(hub, "the upgrade"):
    Journal(hub).phase("Install")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_an_upgrade_that_was_cut_off_neither_runs_nor_has_an_end(hub: Hub) -> None:
    subprocess.run([sys.executable, "-c", CUT_OFF, str(hub.prefix)], check=False)
    state = journal.state(hub)
    assert texts(hub) == ["Install"]
    assert (state["running"], state["end"]) == (False, None)
    seen: list[str] = []
    with pytest.raises(UpgradeCutOff, match="was cut off"):
        worker.follow(hub, lambda event: seen.append(event["text"]))
    assert seen == ["Install"]


def test_the_journal_is_no_link_to_somewhere_else(hub: Hub, tmp_path: Path) -> None:
    hub.work.mkdir(parents=True)
    (tmp_path / "victim").write_text(json.dumps({"kind": "end"}))
    (hub.work / journal.NAME).symlink_to(tmp_path / "victim")
    with pytest.raises(OSError, match="symbolic links"):
        Journal(hub)
    assert (tmp_path / "victim").read_text()
