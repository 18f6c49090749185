"""The systemctl of a sandbox does over a real supervisor what systemd would do."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tljh_runbook.sandbox import ports, processes, supervisor
from tljh_runbook.sandbox.layout import Layout, layout

PROGRAM = """
[program:{name}]
command = {command}
autostart = true
startsecs = {startsecs}
stdout_logfile = NONE
stderr_logfile = NONE
"""


@pytest.fixture(scope="module")
def supervised(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Layout]:
    """A folder with a supervisor, which knows no program, and nothing else."""
    place = layout(tmp_path_factory.mktemp("ctl") / "été @1 b")
    for folder in (place.logs, place.run):
        folder.mkdir(parents=True)
    supervisor.configure(place, ports.free(["supervisor"])["supervisor"])
    supervisor.bring_command(place)
    supervisor.start(place)
    try:
        yield place
    finally:
        processes.end_all(place)


@pytest.fixture
def place(supervised: Layout) -> Iterator[Layout]:
    """The same, without what another test has made it know."""
    bare = supervised.supervisor.read_text()
    yield supervised
    if known := shown(supervised):
        systemctl(supervised, "stop", *known)
    supervised.supervisor.write_text(bare)


def systemctl(place: Layout, *arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [place.systemctl, *arguments], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done


def declare(place: Layout, name: str, command: str, startsecs: int = 1) -> None:
    """Write a program into supervisor's settings, in the place of one of the same name."""
    head = place.supervisor.read_text().partition(f"\n[program:{name}]")[0]
    text = PROGRAM.format(name=name, command=command, startsecs=startsecs)
    place.supervisor.write_text(head + text)


def shown(place: Layout) -> dict[str, Any]:
    return supervisor.processes(place)


def command_of(place: Layout, name: str) -> str:
    pid = shown(place)[name]["pid"]
    return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ").strip()


def test_a_new_program_starts_when_it_is_asked_for(place: Layout) -> None:
    declare(place, "one", "sleep 1000")
    assert "BAD_NAME: one" in systemctl(place, "restart", "one", code=1).stderr
    systemctl(place, "daemon-reload")
    assert "one" not in shown(place)
    systemctl(place, "restart", "one.service")
    assert shown(place)["one"]["state"] in {"STARTING", "RUNNING"}


def test_a_changed_program_runs_on_until_it_is_restarted(place: Layout) -> None:
    for name in ("two", "three"):
        declare(place, name, "sleep 1000")
    systemctl(place, "daemon-reload")
    systemctl(place, "start", "two", "three")
    before = shown(place)
    declare(place, "three", "sleep 2000")
    systemctl(place, "daemon-reload")
    assert [shown(place)[name]["pid"] for name in ("two", "three")] == [
        before[name]["pid"] for name in ("two", "three")
    ]
    systemctl(place, "restart", "three")
    assert shown(place)["three"]["pid"] != before["three"]["pid"]
    systemctl(place, "stop", "three")  # waits until it has started
    systemctl(place, "start", "three")
    systemctl(place, "start", "three")
    systemctl(place, "restart", "three")
    systemctl(place, "stop", "two")
    assert command_of(place, "three") == "sleep 2000"


def test_a_restart_is_over_when_the_process_exists(place: Layout) -> None:
    declare(place, "slow", "sleep 1000", startsecs=3)
    systemctl(place, "daemon-reload")
    systemctl(place, "start", "slow")
    assert shown(place)["slow"]["state"] == "STARTING"
    systemctl(place, "restart", "slow")  # not before the first one has started
    assert shown(place)["slow"]["state"] == "STARTING"
    assert "stopped: slow (terminated by SIGTERM)" in (place.logs / "supervisord.log").read_text()


def test_whether_a_program_is_active(place: Layout) -> None:
    declare(place, "four", "sleep 1000")
    systemctl(place, "daemon-reload")
    assert systemctl(place, "is-active", "four", code=3).stdout == "inactive\n"
    systemctl(place, "start", "four")
    assert systemctl(place, "is-active", "four").stdout == "active\n"
    systemctl(place, "enable", "four", "five.service")
    systemctl(place, "stop", "four")
    assert systemctl(place, "is-active", "four", code=3).stdout == "inactive\n"


@pytest.mark.parametrize("command", ["start", "stop", "restart"])
def test_a_program_that_nobody_knows(place: Layout, command: str) -> None:
    said = systemctl(place, command, "nobody", code=1).stderr
    assert said == f"systemctl {command}: BAD_NAME: nobody\n"


def test_a_supervisor_that_is_away_is_told_without_its_password(tmp_path: Path) -> None:
    place = layout(tmp_path)
    supervisor.configure(place, ports.free(["supervisor"])["supervisor"])
    supervisor.bring_command(place)
    said = systemctl(place, "restart", "one", code=1).stderr
    assert said == "systemctl restart: supervisor does not answer (ConnectionRefusedError)\n"
