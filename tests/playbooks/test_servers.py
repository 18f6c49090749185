"""invoke over an inventory, on hubs that are reached over real SSH."""

from __future__ import annotations

import re
import shlex
import stat
import subprocess
import sys

import hub_folder
import pytest
import sessions
from hub_fixtures import Live, free_port, until
from road import OURS, Road

from tljh_runbook import errors
from tljh_runbook.hub.core.layout import Hub
from tljh_runbook.hub.snapshots import snapshot

pytestmark = pytest.mark.long


def logged(road: Road) -> str:
    """Return what all logs hold together."""
    return "".join(file.read_text(encoding="utf-8") for file in road.checkout.glob("logs/*.log"))


def test_servers_are_looked_at_by_name(road: Road, hub: Hub) -> None:
    road.write(one={"tljh_prefix": hub.prefix}, two={"tljh_prefix": hub.prefix})
    done = road.type("invoke", "status")
    assert (done.returncode, done.stderr) == (0, "")
    first, *lines = done.stdout.splitlines()
    assert first.startswith("+ ansible-playbook -i hosts -e tljh_run=status ")
    shown = {line.partition(":")[0] for line in lines if str(hub.prefix) in line}
    assert shown == {"one", "two"}
    assert {"one: done", "two: done"} <= set(lines)
    (log,) = road.checkout.glob("logs/*.log")
    assert lines[-1] == f"The full log: logs/{log.name}"
    assert stat.S_IMODE(log.stat().st_mode) == 0o600
    assert stat.S_IMODE(log.parent.stat().st_mode) == 0o700


def test_first_failure_is_the_last_that_is_begun(road: Road, hub: Hub) -> None:
    gone = hub.prefix / "gone"
    road.write(
        one={"tljh_prefix": hub.prefix},
        two={"tljh_prefix": gone},
        three={"tljh_prefix": hub.prefix},
    )
    done = road.type("invoke", "backup")
    assert done.returncode == errors.NoHub.code
    (made,) = snapshot.listed(hub.root / "var" / "backups" / "tljh")
    assert f"one: sealed and read back: {made}" in done.stdout
    assert f"one: Snapshot {made.name} is whole" in done.stdout
    assert "three: not started" in done.stdout.splitlines()
    failed, hint, *_ = done.stderr.splitlines()
    assert failed.startswith(f"two: failed: There is no TLJH hub at {gone}")
    assert hint.startswith("hint: on the server: ")


def test_limit_is_ansibles(road: Road, hub: Hub) -> None:
    road.write(one={"tljh_prefix": hub.prefix / "gone"}, two={"tljh_prefix": hub.prefix})
    done = road.type("invoke", "hosts", "--limit", "two", "backup.database", "snapshots")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0] == "hosts: two"
    assert all("-i hosts --limit two" in line for line in lines if line.startswith("+ "))
    assert not any(line.startswith("one:") for line in lines)


def test_restore_asks_for_yes(road: Road, hub: Hub) -> None:
    """Nobody can be asked on a server: what would change is shown, and nothing is changed."""
    road.write(one={"tljh_prefix": hub.prefix})
    assert road.type("invoke", "backup.config").returncode == 0
    file = hub.config_file
    file.write_text("limits: {}\n", encoding="utf-8")
    done = road.type("invoke", "restore", "--component", "config")
    assert done.returncode == errors.NotConfirmed.code
    assert "one: " in done.stdout
    assert "config.yaml" in done.stdout
    assert "--yes behind restore" in done.stderr
    assert file.read_text(encoding="utf-8") == "limits: {}\n"


def test_upgrade_of_a_server(road: Road, live: Live) -> None:
    road.write(one={"tljh_prefix": live.hub.prefix})
    done = road.type("invoke", "backup", "upgrade")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("+ ansible-playbook -i hosts ") == 2
    said = done.stdout.splitlines()
    for part in ("one:   ", "one: check ", "one: done, changed", "one: guarantee "):
        assert any(line.startswith(part) for line in said), part
    again = road.type("invoke", "upgrade")
    assert again.returncode == 0, again.stdout + again.stderr
    assert "one: the upgrade that began at " in again.stdout
    assert "one: everything is as asked; nothing was restarted" in again.stdout
    assert "one: done, nothing changed" in again.stdout.splitlines()


def test_an_upgrade_outlives_the_one_who_began_it(road: Road, live: Live) -> None:
    """The next `invoke upgrade` follows it to its end, and begins no second one."""
    road.write(one={"tljh_prefix": live.hub.prefix})
    assert road.type("invoke", "backup").returncode == 0
    waits = live.hub.root / "srv" / "wait"
    waits.touch()
    begun = subprocess.Popen(
        [str(OURS / "invoke"), "upgrade"],
        cwd=road.checkout,
        env=road.environment,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    until(lambda: "Setting up TLJH" in logged(road), seconds=120)
    sessions.kill(begun)
    busy = road.type("invoke", "backup")
    assert busy.returncode == errors.Busy.code
    assert "one: failed: " in busy.stderr
    with subprocess.Popen(
        [str(OURS / "invoke"), "upgrade"],
        cwd=road.checkout,
        env=road.environment,
        stdout=subprocess.PIPE,
        text=True,
    ) as again:
        assert again.stdout
        lines = []
        for line in again.stdout:
            lines.append(line.rstrip())
            if "still runs" in line:
                waits.unlink()
    assert again.returncode == 0, lines
    assert sum("Install" in line for line in lines) == 1
    assert "one: done, changed" in lines


PYTHON_OF_2019 = """\
#!/bin/sh
shift
script=$1
shift
exec {python} -c "import sys; sys.version_info = (3, 8, 10); exec(sys.argv.pop(1))" "$script" "$@"
"""


def test_what_is_wrong_with_servers(road: Road, hub: Hub) -> None:
    """Each that fails has one line in the summary and one hint; the sound one is looked at."""
    old = road.folder / "python3.8"
    hub_folder.keep(old, PYTHON_OF_2019.format(python=shlex.quote(sys.executable)), 0o755)
    closed = free_port()
    options = "-o IdentitiesOnly=yes -o UserKnownHostsFile="
    road.write(
        sound={"tljh_prefix": hub.prefix},
        away={"ansible_port": closed},
        nameless={"ansible_host": "hub.invalid"},
        stranger={"ansible_ssh_private_key_file": road.folder / "other"},
        unknown={"ansible_ssh_common_args": f"{options}/dev/null"},
        replaced={
            "ansible_ssh_common_args": f"{options}{road.known('replaced', road.port, 'other')}"
        },
        old={"ansible_python_interpreter": old},
        bare={"ansible_python_interpreter": "/nowhere/python3"},
        toolless={"tljh_runbook": "/nowhere/tljh-runbook"},
        hubless={"tljh_prefix": "/nowhere"},
    )
    done = road.type("invoke", "status")
    assert done.returncode == 2
    assert "sound: done" in done.stdout.splitlines()
    lines = re.sub(r"\n  ", " ", done.stderr).splitlines()  # the commands of the hints
    told = {line.partition(": failed: ")[0]: line.partition(": failed: ")[2] for line in lines[::2]}
    assert all(line.startswith("hint: ") for line in lines[1::2])
    hints = dict(zip(told, lines[1::2], strict=True))
    assert told.pop("hubless").startswith("There is no TLJH hub at /nowhere")
    assert told.pop("away").startswith("The server cannot be reached: ")
    assert told.pop("stranger").startswith("The server does not let us in: ")
    assert told == {
        "nameless": "The server's name is not known: hub.invalid.",
        "unknown": "The host key of the server is not known here.",
        "replaced": "The server shows another host key than before.",
        "old": f"There is no Python 3.10 or newer on the server: {old} is 3.8.10.",
        "bare": "There is no Python 3.10 or newer on the server: /nowhere/python3 is not there.",
        "toolless": "tljh-runbook is not on the server: there is no /nowhere/tljh-runbook.",
    }
    assert f"ssh -p {closed} " in hints["away"]
    assert "ansible-playbook -i hosts src/tljh_runbook/playbooks/setup.yml" in hints["toolless"]


def test_one_that_fails_gives_its_code(road: Road) -> None:
    road.write(away={"ansible_port": free_port()})
    done = road.type("invoke", "status")
    assert done.returncode == errors.ServerUnreachable.code
    assert "Traceback" not in done.stdout + done.stderr
