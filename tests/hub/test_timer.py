"""When a run is due is understood as systemd tells it."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

import hub_folder
import pytest

from tljh_runbook.hub.context import Source
from tljh_runbook.hub.schedule import scheduled
from tljh_runbook.hub.system import timer
from tljh_runbook.hub.system.services import Systemd

# What systemd 252 prints; a moment is in the time zone of who asks.
SHOWN = """\
ActiveState=active
LastTriggerUSec=Sun 2026-11-22 02:13:09 {zone}
NextElapseUSecRealtime=Mon 2026-11-23 02:07:44 {zone}
"""
ABSENT = "ActiveState=inactive\nLastTriggerUSec=n/a\nNextElapseUSecRealtime=\n"
NEXT = datetime(2026, 11, 23, 2, 7, 44, tzinfo=timezone.utc)


@pytest.fixture
def systemctl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fake of the program, which no machine without systemd can run; its log."""
    hub_folder.keep(tmp_path / "shown", SHOWN.format(zone="UTC"), 0o644)
    hub_folder.keep(tmp_path / "here", SHOWN.format(zone="CET"), 0o644)
    program = f"""#!/bin/sh
echo "$@" >>{tmp_path}/log
case "$TZ $*" in
UTC*tljh-runbook-backup.timer) cat {tmp_path}/shown ;;
*tljh-runbook-backup.timer) cat {tmp_path}/here ;;
*) printf '{ABSENT}' ;;
esac
"""
    hub_folder.keep(tmp_path / "bin" / "systemctl", program, 0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:/usr/bin:/bin")
    monkeypatch.setenv("TZ", "Europe/Paris")
    return tmp_path / "log"


def test_when_a_run_is_due(systemctl: Path, source: Source) -> None:
    backup, verify = scheduled.look(replace(source, services=Systemd()))
    assert backup.timer.active
    assert backup.timer.next == NEXT
    assert backup.timer.last == datetime(2026, 11, 22, 2, 13, 9, tzinfo=timezone.utc)
    assert backup.to_json()["due"] == "2026-11-23T02:07:44Z"
    assert verify.timer == timer.Timer()
    assert verify.to_json()["due"] is None
    asked = systemctl.read_text()
    assert "--property=NextElapseUSecRealtime" in asked


@pytest.mark.parametrize("moment", ["n/a", "", "@1763777264", "soon", "0"])
def test_a_moment_that_is_none(moment: str) -> None:
    found = timer.of_systemd(f"ActiveState=active\nNextElapseUSecRealtime={moment}\n")
    assert (found.active, found.next) == (True, None)


def test_a_sandbox_has_no_timers(source: Source) -> None:
    assert all(not each.timer.active for each in scheduled.look(source))
    assert scheduled.look(source)[0].timer.absent == "a sandbox has no timers"


def test_systemds_own_words_for_a_moment_are_understood() -> None:
    """The program that prints them is asked, where it is installed."""
    try:
        command = ["systemd-analyze", "calendar", "--iterations=1", "*-*-* 02:00:00"]
        done = subprocess.run(
            command, capture_output=True, text=True, check=True, env={"TZ": "UTC", "LC_ALL": "C"}
        )
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("systemd is not installed")
    said = dict(line.strip().partition(": ")[::2] for line in done.stdout.splitlines())
    found = timer.of_systemd(f"ActiveState=active\nNextElapseUSecRealtime={said['Next elapse']}\n")
    assert found.next is not None
    assert found.next.hour == 2
