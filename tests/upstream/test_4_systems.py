"""A fresh install on Debian 12 and 13, and Debian 12 → 13 with `apt full-upgrade`."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from hub import Hub
from life import Life
from machines import until
from real import Real
from results import Recorder
from world import World

STORY = "test_4_systems.py"
NEWER = "trixie"
# As Debian's release notes say it, without the questions.
FULL_UPGRADE = """
set -e
export DEBIAN_FRONTEND=noninteractive
sed -i 's/bookworm/trixie/g' /etc/apt/sources.list.d/*.sources
apt-get update -q
apt-get -q -y -o Dpkg::Options::=--force-confold full-upgrade
"""


def _fresh(world: World, recorder: Recorder, name: str, release: str, **variables: Any) -> Life:
    """Set up a bare server with ``site.yml``."""
    controller = world.controller(name)
    hub = Hub(world.boot(name, controller.key, release))
    real = Real(world, controller, hub)
    real.want(tljh_admins=["admin"], **variables)
    controller.play("site")
    hub.wait()
    return Life(
        real,
        people=("admin", "alice"),
        busy=("alice",),
        note="/home/jupyter-alice/lesson.ipynb",
        upgrade="",
        target={},
        add=partial(recorder.add, STORY),
    )


@pytest.fixture(scope="module")
def twelve(world: World, recorder: Recorder) -> Life:
    """Plain TLJH on Debian 12."""
    return _fresh(world, recorder, "twelve", "bookworm", tljh_plugins=[])


@pytest.fixture(scope="module")
def thirteen(world: World, recorder: Recorder) -> Life:
    """TLJH with Plasma on Debian 13."""
    life = _fresh(world, recorder, "thirteen", NEWER)
    life.hub.services = ("tljh_plasma", "tljh_repo2docker")
    return life


def test_a_fresh_install_on_debian_12(twelve: Life) -> None:
    """`site.yml` brings a healthy hub to Debian 12, and people log in and work."""
    assert twelve.real.tool("status")["healthy"]
    twelve.hub.add_people("admin", ("alice",))
    twelve.log_in()
    twelve.work()


def test_a_fresh_install_on_debian_13(thirteen: Life) -> None:
    """`site.yml` brings a healthy hub with Plasma to Debian 13, and an admin logs in."""
    thirteen.hub.wait()
    assert thirteen.real.tool("status")["healthy"]
    server = thirteen.real.server
    server.run("useradd", "-m", "admin")
    server.run("chpasswd", stdin=f"admin:{thirteen.hub.password('admin')}\n".encode())
    thirteen.hub.visitor("admin")


def test_an_upgrade_on_debian_13(thirteen: Life, world: World) -> None:
    """The upgrade to TLJH's main branch works on Debian 13."""
    commit = world.tljh.commit("HEAD")
    thirteen.real.want(tljh_version=commit)
    thirteen.real.controller.play("runbook")
    thirteen.real.says("backup")
    thirteen.real.says("upgrade")
    found = thirteen.real.tool("status")
    assert found["healthy"], found["wrong"]
    assert found["versions"]["tljh"]["commit"] == commit
    thirteen.hub.visitor("admin")


@pytest.fixture(scope="module")
def aged(twelve: Life) -> Life:
    """The server with Debian 12 becomes one with Debian 13: its hub has lost its Python."""
    twelve.real.says("backup")
    twelve.real.server.run("sh", "-c", FULL_UPGRADE)
    twelve.real.server.reboot()
    return twelve


def test_the_hub_is_down_on_the_newer_debian(aged: Life) -> None:
    """After `apt full-upgrade` the hub does not start, and `status` says why."""
    assert aged.real.server.read("/etc/debian_version").startswith("13")
    assert not aged.real.tool("status")["healthy"]
    aged.real.says("status")


def test_the_repair(aged: Life) -> None:
    """An upgrade to the same versions builds the environment again, and everyone logs in."""
    aged.real.says("unpack")
    aged.real.says("backup")
    aged.real.says("upgrade")
    until(lambda: aged.real.tool("status")["healthy"], "the hub is healthy")
    aged.log_in()
    aged.work()
