"""What goes wrong on the way to a server: one clear line for each, and nothing is changed."""

from __future__ import annotations

import pytest
from story import Story, Working


@pytest.fixture
def alone(story: Story, inhabited: dict[str, Working]) -> Story:
    """The story as it stands; a test that changes something puts it back."""
    return story


def lines(said: str, name: str) -> list[str]:
    return [line for line in said.splitlines() if line.startswith(f"{name}: ")]


def test_a_server_that_is_away(alone: Story) -> None:
    server = alone.two
    server.run("systemctl", "stop", "ssh.socket", "ssh.service")
    try:
        said = alone.controller.invoke("backup", code=51)
    finally:
        server.run("systemctl", "start", "ssh.service")
    assert any("cannot be reached" in line for line in lines(said, "two"))
    assert any("changed" in line for line in lines(said, "one"))


def test_a_key_that_is_refused(alone: Story) -> None:
    keys = "/home/ada/.ssh/authorized_keys"
    alone.one.run("mv", keys, f"{keys}.away")
    alone.controller.disconnect()
    try:
        said = alone.controller.invoke("hosts", "--limit", "one", "backup", code=51)
    finally:
        alone.one.run("mv", f"{keys}.away", keys)
    assert any("Permission denied" in line for line in lines(said, "one"))


def test_a_user_who_may_not_sudo(alone: Story) -> None:
    alone.one.run("mv", "/etc/sudoers.d/ada", "/root/ada")
    try:
        said = alone.controller.invoke("hosts", "--limit", "one", "status", code=52)
    finally:
        alone.one.run("mv", "/root/ada", "/etc/sudoers.d/ada")
    assert any("sudo" in line for line in lines(said, "one"))


def test_another_version_of_the_tool(alone: Story) -> None:
    zipped = "/usr/local/lib/tljh-runbook/tljh-runbook.pyz"
    alone.one.run("cp", "--archive", zipped, "/root/kept")
    alone.one.run("sh", "-c", f"printf x >> {zipped}")
    try:
        said = alone.controller.invoke("hosts", "--limit", "one", "upgrade", code=52)
    finally:
        alone.one.run("mv", "/root/kept", zipped)
    assert any("another version of tljh-runbook" in line for line in lines(said, "one"))
    assert "setup.yml" in said


def test_a_server_without_a_hub(alone: Story) -> None:
    alone.one.run("mv", "/opt/tljh/config", "/opt/tljh/away")
    try:
        said = alone.controller.invoke("hosts", "--limit", "one", "backup", code=10)
    finally:
        alone.one.run("mv", "/opt/tljh/away", "/opt/tljh/config")
    assert any("no TLJH hub" in line for line in lines(said, "one"))


def test_an_inventory_that_does_not_parse(alone: Story) -> None:
    hosts = alone.controller.folder / "hosts"
    kept = hosts.read_text(encoding="utf-8")
    hosts.write_text("[server\none two three = = =\n", encoding="utf-8")
    try:
        said = alone.controller.invoke("status", code=50)
    finally:
        hosts.write_text(kept, encoding="utf-8")
    assert "hosts" in said
    assert "Traceback" not in said
