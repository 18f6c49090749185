"""From two bare servers to two hubs, by ``site.yml`` over SSH."""

from __future__ import annotations

import re

import pytest
from story import Story, Working
from visitor import Visitor


def changed(said: str) -> dict[str, int]:
    """Return how many tasks changed something, by server, as the last lines say it."""
    return {name: int(count) for name, count in re.findall(r"^(\w+): .*changed=(\d+)", said, re.M)}


def test_site_brings_a_healthy_hub(story: Story, deployed: str) -> None:
    for server in story.servers:
        seen = server.tool("status")
        assert seen["healthy"], seen["wrong"]
        assert seen["versions"]["jupyterhub"]["version"] == "4.1.6"


def test_a_second_site_changes_nothing(story: Story, deployed: str) -> None:
    pids = [server.units() for server in story.servers]
    assert changed(story.controller.play("site")) == {"one": 0, "two": 0}
    assert [server.units() for server in story.servers] == pids


def test_check_mode_is_truthful(story: Story, deployed: str) -> None:
    assert changed(story.controller.play("site", "--check", "--diff")) == {"one": 0, "two": 0}


def test_the_installer_that_was_pinned_is_the_one_that_is_there(
    story: Story, deployed: str
) -> None:
    for server in story.servers:
        sums = server.run("sha256sum", "/srv/tljh-installer.py")
        assert sums.split()[0] == story.web.checksum("bootstrap.py")


def test_the_tool_needs_no_virtual_environment(story: Story, deployed: str) -> None:
    said = story.one.run(
        "python3", "-I", "/usr/local/lib/tljh-runbook/tljh-runbook.pyz", "--version"
    )
    assert said == story.one.run("tljh-runbook", "--version")
    assert "build" in said


def test_users_log_in_and_work(inhabited: dict[str, Working]) -> None:
    for working in inhabited.values():
        assert set(working.containers) == {"jupyter-alice-", "jupyter-bob-"}
        for socket in working.sockets.values():
            assert socket.ping().wait(10)


def test_only_who_was_asked_for_is_an_admin(inhabited: dict[str, Working]) -> None:
    for working in inhabited.values():
        assert working.visitors["alice"].api("GET", "user")["admin"]
        assert not working.visitors["bob"].api("GET", "user")["admin"]


def test_a_second_users_changes_nothing(story: Story, inhabited: dict[str, Working]) -> None:
    assert changed(story.controller.play("users")) == {"one": 0, "two": 0}
    assert changed(story.controller.play("groups")) == {"one": 0, "two": 0}


def test_docker_playbook_stops_no_container(story: Story, inhabited: dict[str, Working]) -> None:
    engines = [server.run("pidof", "dockerd") for server in story.servers]
    assert changed(story.controller.play("docker")) == {"one": 0, "two": 0}
    for server, engine in zip(story.servers, engines, strict=True):
        assert server.containers() == inhabited[server.name].containers
        assert server.run("pidof", "dockerd") == engine


def test_a_wrong_password_stays_outside(story: Story, inhabited: dict[str, Working]) -> None:
    visitor = Visitor(f"http://{story.one.address}", "alice", "not hers")
    with pytest.raises(AssertionError, match="403"):
        visitor.log_in()
