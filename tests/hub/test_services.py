"""What systemd tells of the hub's services is understood; supervisor does as systemd does."""

from __future__ import annotations

import socket
import time
from pathlib import Path

import hub_folder
import pytest
from hub_fixtures import HUB_COMMAND, Live, supervisor, until

from tljh_runbook.errors import ServicesUnreachable
from tljh_runbook.hub.context import Source
from tljh_runbook.hub.database import databases
from tljh_runbook.hub.system import services
from tljh_runbook.hub.system.services import Supervisor, Systemd

# What systemd 252 printed for a unit with these settings.
SHOWN = """\
WorkingDirectory=/opt/tljh/state
Environment=TLJH_INSTALL_PREFIX=/opt/tljh PATH=/a:/b "TWO=a b" TLJH_PLASMA_DB_URL=sqlite:///u.db
EnvironmentFiles={file} (ignore_errors=no)
EnvironmentFiles=/nowhere/at/all (ignore_errors=yes)
"""
FILE = """\
# MORE=a comment
; MORE=another
TLJH_PLASMA_DB_URL='sqlite:///from the file.db'
MORE="x=y"
SPACE=a b
broken line
OPEN="quotation
# MORE=last
"""


@pytest.fixture
def systemctl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fake of the program, which no machine without systemd can run; its log."""
    folder = tmp_path / "bin"
    hub_folder.keep(tmp_path / "hub.env", FILE, 0o600)
    hub_folder.keep(tmp_path / "shown", SHOWN.format(file=tmp_path / "hub.env"), 0o644)
    program = f"""#!/bin/sh
echo "$@" >>{tmp_path}/log
case "$*" in
*MainPID*) echo 0 ;;
*NeedDaemonReload*) printf 'no\\n\\nyes\\n' ;;
*WorkingDirectory*) cat {tmp_path}/shown ;;
esac
"""
    hub_folder.keep(folder / "systemctl", program, 0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    return tmp_path / "log"


def test_what_a_unit_declares(systemctl: Path) -> None:
    declared = Systemd().declared("jupyterhub")
    assert declared.directory == Path("/opt/tljh/state")
    assert declared.environment["TWO"] == "a b"
    assert declared.environment["PATH"] == "/a:/b"
    assert declared.environment["MORE"] == "x=y"
    assert declared.environment["SPACE"] == "a b"
    assert declared.environment["TLJH_PLASMA_DB_URL"] == "sqlite:///from the file.db"


def test_a_unit_that_declares_nothing(systemctl: Path) -> None:
    (systemctl.parent / "shown").write_text("WorkingDirectory=\nEnvironment=\n")
    declared = Systemd().declared("jupyterhub")
    assert declared.directory is None
    assert declared.environment == {}


def test_the_database_of_a_stopped_hub_is_found_by_its_unit(
    systemctl: Path, source: Source
) -> None:
    state = source.hub.state
    (state / "tljh_plasma.sqlite").rename(state / "from the file.db")
    shown = SHOWN.replace("/opt/tljh/state", str(state))
    (systemctl.parent / "shown").write_text(shown.format(file=systemctl.parent / "hub.env"))
    found = databases.find(source.hub, Systemd(), source.settings)
    assert found["plasma"] == state / "from the file.db"


def test_systemd_is_told_to_read_its_files_again(systemctl: Path) -> None:
    assert Systemd().stale()
    Systemd().reload()
    assert systemctl.read_text().splitlines()[-1] == "daemon-reload"


def command_of(manager: Supervisor, name: str = services.HUB) -> str:
    """Return what a program runs as, once it is more than a copy of supervisor."""
    pid = manager.pid(name)
    file = Path(f"/proc/{pid}/cmdline")
    until(lambda: file.read_bytes().startswith(b"sleep"))
    return file.read_text().replace("\0", " ").strip()


def change_settings(source: Source, old: str, new: str) -> None:
    file = source.hub.root / "etc" / "supervisor" / "supervisord.conf"
    head, hub = file.read_text().split("[program:jupyterhub]")
    assert old in hub
    file.write_text(f"{head}[program:jupyterhub]{hub.replace(old, new)}")


def test_a_program_runs_with_what_supervisor_has_read_last(source: Source) -> None:
    with supervisor(source.hub):
        manager = Supervisor(source.hub)
        change_settings(source, "sleep 1000", "sleep 2000")
        manager.restart(services.HUB)
        assert command_of(manager) == "sleep 1000"  # nobody has told it to read
        before = [manager.pid(name) for name in (services.HUB, services.PROXY)]
        manager.reload()
        assert [manager.pid(name) for name in (services.HUB, services.PROXY)] == before
        manager.restart(services.HUB)
        assert command_of(manager) == "sleep 2000"
        assert manager.pid(services.PROXY) == before[1]


def test_a_stopped_program_starts_with_what_supervisor_has_read_last(source: Source) -> None:
    with supervisor(source.hub):
        manager = Supervisor(source.hub)
        manager.stop(services.HUB)
        change_settings(source, "sleep 1000", "sleep 2000")
        manager.reload()
        assert manager.pid(services.HUB) is None
        manager.start(services.HUB)
        assert command_of(manager) == "sleep 2000"
        running = manager.pid(services.HUB)
        manager.start(services.HUB)
        assert manager.pid(services.HUB) == running


def test_a_program_that_is_new_to_supervisor_starts(source: Source) -> None:
    with supervisor(source.hub):
        file = source.hub.root / "etc" / "supervisor" / "supervisord.conf"
        file.write_text(file.read_text() + "[program:other]\ncommand = sleep 1000\nstartsecs = 0\n")
        manager = Supervisor(source.hub)
        with pytest.raises(ServicesUnreachable, match="startProcess for other: BAD_NAME"):
            manager.start("other")
        manager.reload()
        manager.start("other")
        assert command_of(manager, "other") == "sleep 1000"


def test_a_program_that_does_not_start_is_told(source: Source) -> None:
    with supervisor(source.hub):
        manager = Supervisor(source.hub)
        change_settings(source, HUB_COMMAND, "/nowhere/at/all")
        manager.reload()
        with pytest.raises(ServicesUnreachable, match="startProcess for jupyterhub: NO_FILE"):
            manager.restart(services.HUB)


def test_the_proxy_does_not_wait_for_what_its_clients_hold_open(live: Live) -> None:
    live.answer("/slowly", 200, "drip")
    manager = live.source.services
    with socket.create_connection(("127.0.0.1", live.port), timeout=20) as client:
        client.sendall(b"GET /slowly HTTP/1.0\r\n\r\n")
        assert client.recv(9) == b"HTTP/1.0 "
        began = time.monotonic()
        manager.end(services.PROXY)
        assert services.GRACE < time.monotonic() - began < 8  # on its own it takes ten
    manager.start(services.PROXY)
    assert manager.pid(services.PROXY)
