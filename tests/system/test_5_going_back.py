"""Restoring, HTTPS, and leaving: what an administrator does on the other days."""

from __future__ import annotations

import re
import ssl
from urllib.request import HTTPSHandler, ProxyHandler, build_opener

import pytest
from machines import Server, until
from story import Story, Working

NOTE = "/home/alice/note.txt"


@pytest.fixture(scope="session")
def restored(story: Story, inhabited: dict[str, Working]) -> str:
    """Lose a user's file and a row of the plugin's database on server one; restore all."""
    server = story.one
    server.run("sh", "-c", f"echo mine > {NOTE}; chown alice: {NOTE}")
    story.controller.invoke("hosts", "--limit", "one", "backup")
    server.run("rm", NOTE)
    server.run("/opt/tljh/hub/bin/python", "-c", FORGET)
    return story.controller.invoke("hosts", "--limit", "one", "restore", "--yes")


FORGET = """
import sqlite3
with sqlite3.connect("/opt/tljh/state/tljh_plasma.sqlite") as database:
    database.execute("DELETE FROM permissions")
"""


def test_what_was_lost_is_back(story: Story, restored: str) -> None:
    assert story.one.read(NOTE) == "mine"
    assert story.one.run("stat", "--format=%U:%G", NOTE) == "alice:alice"
    rows = story.one.run("/opt/tljh/hub/bin/python", "-c", COUNT)
    assert rows == "1"
    until(story.one.serves, "the services answer after the restore", 600)
    assert story.one.tool("status")["healthy"]


COUNT = """
import sqlite3
with sqlite3.connect("/opt/tljh/state/tljh_plasma.sqlite") as database:
    print(database.execute("SELECT count(*) FROM permissions").fetchone()[0])
"""


@pytest.fixture(scope="session")
def https(story: Story, inhabited: dict[str, Working]) -> None:
    """Give server two a certificate of its own."""
    folder = story.controller.folder
    subject = ["-subj", "/CN=hub", "-addext", f"subjectAltName=IP:{story.two.address}"]
    files = ["-keyout", str(folder / "tls.key"), "-out", str(folder / "tls.crt")]
    make = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *subject]
    story.controller.run(["openssl", *make, *files])
    story.more |= {
        "tljh_https_certificate": "/etc/tljh-certificate/hub.crt",
        "tljh_https_key": "/etc/tljh-certificate/hub.key",
        "tljh_https_certificate_from": str(folder / "tls.crt"),
        "tljh_https_key_from": str(folder / "tls.key"),
    }
    story.want("2.0.0", "newer")
    story.controller.play("https", "--limit", "two")


def test_the_hub_answers_over_https(story: Story, https: None) -> None:
    trusting = ssl.create_default_context(cafile=story.controller.folder / "tls.crt")
    opener = build_opener(ProxyHandler({}), HTTPSHandler(context=trusting))
    with opener.open(f"https://{story.two.address}/hub/login", timeout=30) as answer:
        assert answer.status == 200
    assert story.two.tool("status")["healthy"]
    assert story.two.run("stat", "--format=%a", "/etc/tljh-certificate/hub.key") == "600"


def test_a_second_https_changes_nothing(story: Story, https: None) -> None:
    pids = story.two.units()
    said = story.controller.play("https", "--limit", "two")
    assert re.findall(r"changed=(\d+)", said) == ["0"]
    assert story.two.units() == pids


def test_uninstalling_is_not_done_by_mistake(story: Story, https: None) -> None:
    story.controller.play("uninstall", code=2)
    assert story.two.tool("status")["healthy"]


def test_uninstalling_keeps_what_cannot_be_made_again(story: Story, https: None) -> None:
    server = story.two
    images, containers = server.images(), server.containers()
    said = story.controller.play(
        "uninstall",
        *("--limit", "two", "-e", "tljh_uninstall_really=two"),
        *("-e", "tljh_uninstall_leave_servers=true"),
    )
    assert server.tried("test", "-e", "/opt/tljh/hub").returncode
    assert server.tried("systemctl", "is-active", "jupyterhub").returncode
    assert server.images() == images
    assert server.containers() == containers
    assert _there(server, "/home/alice", "/var/backups/tljh", "/var/backups/tljh-user-data")
    for kept in ("/home", "/var/backups/tljh", "/etc/tljh-runbook.password"):
        assert kept in said


def _there(server: Server, *paths: str) -> bool:
    return not server.tried("ls", *paths).returncode
