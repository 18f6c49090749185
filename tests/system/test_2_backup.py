"""Backups of two servers, from the administrator's machine and by themselves."""

from __future__ import annotations

import re
import time

import pytest
from desk import Desk
from documented.keeper import Keeper, in_ci
from documented.pages import build
from documented.server import REPOSITORY
from documented.transcript import execute
from machines import until
from story import Story, Working

METRICS = "/var/lib/prometheus/node-exporter"


@pytest.fixture(scope="session")
def backed_up(story: Story, inhabited: dict[str, Working]) -> str:
    """Back both servers up, as the guide says it is typed."""
    return story.controller.invoke("backup")


def test_each_server_has_a_whole_snapshot(story: Story, backed_up: str) -> None:
    for server in story.servers:
        [kept] = server.tool("snapshots")
        assert set(kept["components"]) >= {"accounts", "database", "environments", "user-data"}
        server.run("tljh-runbook", "verify")


def test_every_line_of_a_server_names_it(story: Story, backed_up: str) -> None:
    for server in story.servers:
        assert re.search(rf"^{server.name}: .*\bDatabase\b", backed_up, re.M)


def test_the_log_is_named_and_is_there(story: Story, backed_up: str) -> None:
    [name] = re.findall(r"logs/\S+\.log", backed_up)
    log = story.controller.folder / name
    assert "tljh-runbook" in log.read_text(encoding="utf-8")
    assert log.stat().st_mode & 0o777 == 0o600


def test_nobody_noticed(story: Story, backed_up: str, inhabited: dict[str, Working]) -> None:
    for server in story.servers:
        working = inhabited[server.name]
        assert server.containers() == working.containers
        for socket in working.sockets.values():
            assert socket.ping().wait(10)


@pytest.fixture(scope="session")
def scheduled(story: Story, backed_up: str) -> None:
    """Let server one back itself up, tell an address about it, and write metrics."""
    address = f"{story.web.address}/ping/{story.secret('address for pings')}"
    pings = f"backup={address}\nverify={address}\n".encode()
    for server in story.servers:
        server.run("mkdir", "-p", METRICS)
        server.run("sh", "-c", "umask 077; cat > /etc/tljh-runbook.pings", stdin=pings)
    story.more["tljh_runbook_settings"] = {"scheduled": {"ping_file": "/etc/tljh-runbook.pings"}}
    story.want("1.0.0", "older")
    story.controller.play("runbook")
    story.controller.play("schedule")


def test_timers_are_due(story: Story, scheduled: None) -> None:
    timers = story.one.run("systemctl", "list-timers", "--all", "--no-pager")
    assert "tljh-runbook-backup.timer" in timers
    assert "tljh-runbook-verify.timer" in timers


def test_a_scheduled_backup_is_told_of(story: Story, scheduled: None) -> None:
    story.one.run("systemctl", "start", "tljh-runbook-backup.service")
    assert "tljh_runbook_last_success_timestamp_seconds" in story.one.read(
        f"{METRICS}/tljh-runbook.prom"
    )
    assert any(story.secret("address for pings") in each for each in story.web.asked)
    assert len(story.one.tool("snapshots")) >= 2


def test_a_failed_backup_is_told_of(story: Story, scheduled: None) -> None:
    server = story.one
    server.run("mv", "/var/backups/tljh", "/var/backups/away")
    server.run("touch", "/var/backups/tljh")
    try:
        assert server.tried("systemctl", "start", "tljh-runbook-backup.service").returncode
        notice = "tljh-runbook-notice@tljh-runbook-backup.service"
        until(lambda: server.run("journalctl", "-u", notice, "-o", "cat"), "the notice")
    finally:
        server.run("rm", "/var/backups/tljh")
        server.run("mv", "/var/backups/away", "/var/backups/tljh")
    assert any(each.endswith("/fail") for each in story.web.asked)
    assert "last_run_exit_code" in server.read(f"{METRICS}/tljh-runbook.prom")
    server.run("systemctl", "start", "tljh-runbook-backup.service")


def test_what_pages_show_of_a_booted_server(story: Story, scheduled: None) -> None:
    """What needs systemd on the pages is carried out here, and kept as evidence."""
    site = build(REPOSITORY / "docs", REPOSITORY, story.controller.folder / "pages")
    keeper = Keeper(site, writes=not in_ci())
    blocks = [each for each in site.blocks() if each.on_server]
    assert {each.page for each in blocks} == {"how-to/schedule"}
    desk = Desk(story.one)
    for block in blocks:
        began = time.monotonic()
        execute(block, desk.run)
        keeper.keep(block, time.monotonic() - began, desk)


def test_a_second_schedule_changes_nothing(story: Story, scheduled: None) -> None:
    said = story.controller.play("schedule")
    assert re.findall(r"changed=(\d+)", said) == ["0", "0"]
