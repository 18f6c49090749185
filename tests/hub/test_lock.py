"""One run at a time works on a hub."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tljh_runbook.errors import Busy
from tljh_runbook.hub.core.layout import Hub
from tljh_runbook.hub.runs import lock

HOLDER = """\
import pathlib, sys
from tljh_runbook.hub.core import layout
from tljh_runbook.hub.runs import lock
with lock.hold(layout.Hub(pathlib.Path(sys.argv[1])), "a test"):
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def held_by_another(hub: Hub) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-c", HOLDER, str(hub.prefix)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        yield holder
        holder.kill()


@pytest.fixture
def hub(tmp_path: Path) -> Hub:
    return Hub(tmp_path / "opt" / "tljh")


def test_a_second_run_is_told_to_wait(hub: Hub) -> None:
    with held_by_another(hub):
        with (
            pytest.raises(Busy, match="so the backup was not started"),
            lock.hold(hub, "the backup"),
        ):
            pytest.fail("both run")
        assert lock.held(hub)


def test_a_killed_run_leaves_no_lock(hub: Hub) -> None:
    with held_by_another(hub) as holder:
        holder.kill()
        holder.wait()
        assert not lock.held(hub)
        with lock.hold(hub, "the backup"):
            assert lock.held(hub)


def test_a_failed_run_leaves_no_lock(hub: Hub) -> None:
    with pytest.raises(RuntimeError), lock.hold(hub, "a test"):
        raise RuntimeError
    assert not lock.held(hub)


def test_without_any_run_there_is_no_lock(hub: Hub) -> None:
    assert not lock.held(hub)
    assert not hub.work.exists()


def test_who_only_asks_is_in_nobodys_way(hub: Hub) -> None:
    with lock.hold(hub, "a test"):
        pass
    asker = "import pathlib, sys\nfrom tljh_runbook.hub.core import layout\n"
    asker += "from tljh_runbook.hub.runs import lock\n"
    asker += (
        "while True: lock.held(layout.Hub(pathlib.Path(sys.argv[1]))); print(end='.', flush=True)"
    )
    with subprocess.Popen([sys.executable, "-c", asker, str(hub.prefix)], stdout=-1) as process:
        assert process.stdout is not None
        process.stdout.read(1)
        found = {lock.held(hub) for _ in range(2000)}
        for _ in range(20):
            with lock.hold(hub, "a test"):
                pass
        process.kill()
    assert found == {False}


def test_the_lock_is_no_link_to_somewhere_else(hub: Hub, tmp_path: Path) -> None:
    hub.work.mkdir(parents=True)
    (hub.work / lock.NAME).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic links"), lock.hold(hub, "a test"):
        pytest.fail("followed")
    assert not (tmp_path / "elsewhere").exists()
