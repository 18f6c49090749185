"""The upgrade of servers on which users work in containers."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import pytest
import sessions
from machines import Server, until
from story import Story, Working

from tljh_runbook.errors import UpgradeRolledBack

LONG = 600  # minutes in which upgrades wait to be confirmed: none is rolled back in these tests
CONFIRM = "tljh-runbook-confirm-*"  # the timers that take an upgrade back
MARK = "/var/lib/tljh-runbook/upgrade.json"
CUT_OFF = '{"at": "20260115T220000Z", "phase": "staging", "snapshot": "none", "labels": {}}'


@dataclass
class Upgraded:
    """What was there before, and what the command printed."""

    images: dict[str, dict[str, str]]
    said: str


@pytest.fixture(scope="session")
def upgraded(story: Story, inhabited: dict[str, Working]) -> Upgraded:
    """Ask for newer versions; upgrade server one from the administrator's machine."""
    settings = story.more.setdefault("tljh_runbook_settings", {})
    settings["upgrade"] = {"confirm_within": LONG}
    story.want("2.0.0", "newer")
    story.controller.play("runbook")
    images = {server.name: server.images() for server in story.servers}
    said = story.controller.invoke("hosts", "--limit", "one", "backup", "upgrade")
    return Upgraded(images, said)


def test_the_versions_are_as_asked(story: Story, upgraded: Upgraded) -> None:
    found = story.one.tool("status")
    assert found["healthy"], found["wrong"]
    assert found["versions"]["jupyterhub"]["version"] == "5.5.4"
    assert (
        story.two.tool("status")["versions"]["jupyterhub"]["version"] == "4.1.6"
    )  # beyond the limit


def test_containers_run_on(story: Story, upgraded: Upgraded, inhabited: dict[str, Working]) -> None:
    working = inhabited["one"]
    assert story.one.containers() == working.containers
    for name, visitor in working.visitors.items():
        token = story.secrets[f"token of {name} on one"]
        with visitor.websocket(token) as socket:
            assert socket.ping().wait(10)


def test_images_are_identical(story: Story, upgraded: Upgraded) -> None:
    assert story.one.images() == upgraded.images["one"]


def test_every_guarantee_holds(story: Story, upgraded: Upgraded) -> None:
    end = story.one.tool("progress", "upgrade")["end"]
    assert end["code"] == 0
    assert {each["word"] for each in end["report"]["verdicts"]} == {"kept"}
    story.one.run("tljh-runbook", "prove")


def test_it_waits_to_be_confirmed(story: Story, upgraded: Upgraded) -> None:
    """By a timer of systemd, until somebody confirms."""
    assert story.one.tool("status")["confirm_until"]
    assert CONFIRM[:-1] in story.one.run("systemctl", "list-timers", "--no-pager", CONFIRM)
    story.controller.invoke("hosts", "--limit", "one", "upgrade.confirm")
    assert story.one.tool("status")["confirm_until"] is None


def test_a_second_upgrade_restarts_nothing(story: Story, upgraded: Upgraded) -> None:
    pids = story.one.units()
    story.controller.invoke("hosts", "--limit", "one", "upgrade")
    assert story.one.units() == pids


@pytest.fixture(scope="session")
def cut_off(story: Story, upgraded: Upgraded, inhabited: dict[str, Working]) -> str:
    """Kill the administrator's commands in the middle of an upgrade of server two.

    What the next ``invoke upgrade`` printed.
    """
    story.controller.invoke("hosts", "--limit", "two", "backup")
    process = story.controller.start("hosts", "--limit", "two", "upgrade")
    until(lambda: _installs(story.two), "the upgrade begins to install", 600)
    sessions.kill(process)
    for each in story.two.run("pgrep", "--full", "sshd: ada").split():
        story.two.tried("kill", "-9", each)
    return story.controller.invoke("hosts", "--limit", "two", "upgrade")


def _installs(server: Server) -> bool:
    found = server.tried("tljh-runbook", "progress", "upgrade", "--json").stdout
    return '"text": "Install beside the live hub"' in found


def test_an_upgrade_outlives_the_connection(
    story: Story, cut_off: str, inhabited: dict[str, Working]
) -> None:
    found = story.two.tool("status")
    assert found["healthy"], found["wrong"]
    assert found["versions"]["jupyterhub"]["version"] == "5.5.4"
    end: dict[str, Any] = story.two.tool("progress", "upgrade")["end"]
    assert end["code"] == 0
    assert story.two.containers() == inhabited["two"].containers


def test_the_next_upgrade_reports_it(cut_off: str) -> None:
    assert re.search(r"^two: ", cut_off, re.M)


def test_after_a_reboot_everything_is_found_again(
    story: Story, upgraded: Upgraded, cut_off: str, inhabited: dict[str, Working]
) -> None:
    server = story.one
    rows = server.run("tljh-runbook", "snapshots")
    # As an upgrade leaves it that the reboot has cut off while it was prepared.
    server.run("sh", "-c", f"umask 077; echo '{CUT_OFF}' >{MARK}")
    server.reboot()
    until(lambda: server.tool("status")["healthy"], "the hub is healthy after a reboot", 600)
    until(lambda: server.tried("test", "!", "-e", MARK).returncode == 0, "it was resumed", 600)
    until(lambda: server.tool("progress", "upgrade")["end"], "the end of what was resumed", 600)
    assert server.tool("progress", "upgrade")["end"]["code"] == 0
    assert server.run("tljh-runbook", "snapshots").split()[:1] == rows.split()[:1]
    assert server.images() == upgraded.images["one"]
    until(server.serves, "the services answer after a reboot", 600)
    visitor = story.visitor(server, "alice")
    visitor.start_server("course:4f1c2ab")
    until(lambda: visitor.server().get("ready"), "the server of alice after the reboot")
    timers = server.run("systemctl", "list-timers", "--all", "--no-pager")
    assert "tljh-runbook-backup.timer" in timers


@pytest.fixture(scope="session")
def rolled_back(story: Story, upgraded: Upgraded, cut_off: str) -> str:
    """Take the upgrade of server one back by hand; what the command printed."""
    return story.controller.invoke("hosts", "--limit", "one", "rollback", "--yes")


def version(server: Server) -> str:
    return str(server.tool("status")["versions"]["jupyterhub"]["version"])


def test_a_rollback_brings_the_old_version_back(
    story: Story, upgraded: Upgraded, rolled_back: str
) -> None:
    server = story.one
    assert version(server) == "4.1.6"
    assert server.tool("status")["healthy"]
    assert server.images() == upgraded.images["one"]
    assert story.visitor(server, "alice").server()["ready"]


def test_after_a_power_cut_the_hub_is_old_or_new(story: Story, rolled_back: str) -> None:
    """The power goes in the moment in which the environments are exchanged."""
    server = story.one
    rows = server.run("/opt/tljh/hub/bin/python", "-c", ROWS)
    process = story.controller.start("hosts", "--limit", "one", "backup", "upgrade")
    until(lambda: '"swapping"' in server.seen(MARK), "the upgrade begins to swap", 600)
    server.cut_off()
    assert process.wait(600)
    until(lambda: not server.seen(MARK), "the upgrade was brought to its end", 600)
    until(server.serves, "the services answer after a power cut", 600)
    assert server.tool("status")["healthy"]
    assert version(server) == "4.1.6"
    assert server.run("/opt/tljh/hub/bin/python", "-c", ROWS) == rows
    assert server.tried("test", "-e", "/opt/tljh/runbook-stage").returncode


def test_a_killed_upgrade_is_resumed_by_systemd(story: Story, rolled_back: str) -> None:
    """As the kernel kills a process when memory runs out, here while files are exchanged."""
    server = story.one
    rows = server.run("/opt/tljh/hub/bin/python", "-c", ROWS)
    server.run("tljh-runbook", "backup")
    server.run("tljh-runbook", "upgrade", "--detach")
    until(lambda: '"swapping"' in server.seen(MARK), "the upgrade begins to swap", 600)
    run = "tljh-runbook-run-upgrade.service"
    server.run("systemctl", "kill", "--signal=KILL", "--kill-whom=main", run)
    until(lambda: not server.seen(MARK), "systemd resumes the upgrade", 600)
    end = until(lambda: server.tool("progress", "upgrade")["end"], "the end is recorded", 60)
    assert end["code"] == UpgradeRolledBack.code
    until(server.serves, "the services answer after a kill", 600)
    assert version(server) == "4.1.6"
    assert server.run("/opt/tljh/hub/bin/python", "-c", ROWS) == rows


def test_an_upgrade_that_nobody_confirms_is_rolled_back(story: Story, rolled_back: str) -> None:
    """The timer of systemd does it: no process of ours waits, and nobody types anything."""
    server = story.one
    rows = server.run("/opt/tljh/hub/bin/python", "-c", ROWS)
    server.run("tljh-runbook", "backup")
    before = server.tool("progress", "rollback")
    server.run("tljh-runbook", "upgrade", "--confirm-within", "1")
    assert server.tool("status")["confirm_until"]

    def is_rolled_back() -> Any:
        found = server.tool("progress", "rollback")
        return found != before and found["end"]

    assert until(is_rolled_back, "the upgrade is rolled back", 600)["code"] == 0
    until(server.serves, "the services answer after the way back", 600)
    assert version(server) == "4.1.6"
    assert server.run("/opt/tljh/hub/bin/python", "-c", ROWS) == rows


ROWS = """
import sqlite3
with sqlite3.connect("/opt/tljh/state/jupyterhub.sqlite") as database:
    assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    print(database.execute("SELECT name, admin FROM users ORDER BY name").fetchall())
"""
