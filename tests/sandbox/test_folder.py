"""Which folders a sandbox takes, what it leaves alone, and what it does after an accident."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tljh_runbook.sandbox import ports, processes, repositories
from tljh_runbook.sandbox.layout import Layout, layout

from .conftest import run

pytestmark = pytest.mark.long


@pytest.fixture
def place(tmp_path: Path) -> Layout:
    return layout(tmp_path / "a box")


@pytest.mark.parametrize("command", ["up", "down"])
def test_a_foreign_folder_is_left_alone(tmp_path: Path, command: str) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    done = run(command, tmp_path)
    assert done.returncode == 27
    assert done.stderr.startswith("error: ")
    assert "hint: " in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize("sign", ['"', "%", ":", "\n"])
def test_a_path_that_programs_cannot_take_is_refused(tmp_path: Path, sign: str) -> None:
    done = run("up", tmp_path / f"a{sign}b")
    assert done.returncode == 27
    assert repr(sign) in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_one_command_at_a_time(place: Layout) -> None:
    building = start_up(place)
    try:
        wait_for(place.installer)
        for command in ("up", "down"):
            done = run(command, place.root)
            assert done.returncode == 27
            assert "Another command is at work" in done.stderr
    finally:
        building.send_signal(signal.SIGINT)
        _, said = building.communicate(timeout=60)
    assert building.returncode == 130
    assert "Stopped." in said
    assert processes.find(place) == []
    assert run("down", place.root).returncode == 0
    assert not place.root.exists()


def test_a_killed_build_is_built_anew(place: Layout) -> None:
    building = start_up(place)
    wait_for(place.prefix / "hub" / "bin" / "python3")
    building.kill()
    building.communicate(timeout=60)
    assert processes.find(place)
    assert '"unfinished"' in run("status", place.root, "--json").stdout
    try:
        done = run("up", place.root)
        assert done.returncode == 0, done.stderr
        assert '"up"' in run("status", place.root, "--json").stdout
    finally:
        assert run("down", place.root).returncode == 0
    assert not place.root.exists()


def start_up(place: Layout) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tljh_runbook.sandbox", "up", place.root],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "LC_ALL": "C"},
    )


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} never came"
        time.sleep(0.02)


def test_processes_of_two_sandboxes_never_mix(tmp_path: Path) -> None:
    places = [layout(tmp_path / name) for name in ("box", "box 2")]
    sleepers = [
        subprocess.Popen(["sleep", "300"], env=processes.environment(place)) for place in places
    ]
    try:
        assert [processes.find(place) for place in places] == [[one.pid] for one in sleepers]
        processes.end_all(places[0])
        sleepers[0].wait(10)
        assert [processes.find(place) for place in places] == [[], [sleepers[1].pid]]
    finally:
        processes.end_all(places[1])
        sleepers[1].wait(10)


def test_ports_are_free_and_different() -> None:
    given = ports.free([str(number) for number in range(50)])
    assert len(set(given.values())) == 50
    assert ports.taken(given) == {}


def test_the_same_files_make_the_same_commits(tmp_path: Path) -> None:
    first, second = (repositories.build(layout(tmp_path / name)) for name in ("a", "é b"))
    assert first == second
    assert set(first) == {"1.0.0", "2.0.0", "older", "newer"}
