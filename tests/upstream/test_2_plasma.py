"""Plasma v0.4 → newest on TLJH 2.0.0, with PAM logins and servers in Docker."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

import baseline
import common
import environments
import playbook
import pytest
from downtime import Downtime
from hub import Hub
from life import Life
from machines import Server
from real import Real
from results import Recorder
from world import OF_ITS_TIME, World

STORY = "test_2_plasma.py"
VERSIONS = "TLJH 2.0.0: Plasma v0.4 → v0.7, tljh-repo2docker 3.0.12 → 3.0.15"
PEOPLE = ("admin", "alice", "bob")
SERVICES = ("tljh_plasma", "tljh_repo2docker")
DOCKER = "apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -q -y docker.io"


@pytest.fixture(scope="module")
def life(world: World, recorder: Recorder) -> Life:
    """Plasma v0.4, as its playbook installs it, with accounts, environments and permissions."""
    controller = world.controller("plasma")
    server = world.installed("plasma", controller.key, "plasma-0.4", partial(_install, world))
    hub = Hub(server, services=SERVICES)
    server.run("groupadd", environments.GROUP)
    for name in PEOPLE:
        server.run("useradd", "-m", "-s", "/bin/bash", "-G", environments.GROUP, name)
        server.run("chpasswd", stdin=f"{name}:{hub.password(name)}\n".encode())
    hub.configure(("services.cull.timeout", "3600"), ("limits.memory", "2G"), ("limits.cpu", "2"))
    server.run("/opt/tljh/hub/bin/tljh-config", "add-item", "users.admin", "admin")
    server.run("/opt/tljh/hub/bin/tljh-config", "reload", "hub")
    hub.wait()
    environments.build(server)
    environments.allow(server)
    server.run(
        "sh", "-c", "echo lesson > /home/alice/lesson.ipynb; chown alice: /home/alice/*.ipynb"
    )
    return Life(
        Real(world, controller, hub),
        people=PEOPLE,
        busy=("alice", "bob"),
        note="/home/alice/lesson.ipynb",
        upgrade=VERSIONS,
        target={"tljh": "2.0.0", "tljh-plasma": "0.2.0", "tljh-repo2docker": "3.0.15"},
        spawn={"image": environments.COURSE},
        inspect=partial(_inspect, server, environments.permissions(server)),
        add=partial(recorder.add, STORY),
    )


def _install(world: World, server: Server) -> None:
    """Install Docker, TLJH and Plasma v0.4 as Plasma's playbook does."""
    server.run("sh", "-c", DOCKER)
    server.run("mkdir", "-p", "/srv/data")
    plugin = f"git+{world.plasma.source.upstream}@v0.4#subdirectory=tljh-plasma"
    options = ("--version", "2.0.0", "--plugin", plugin, "tljh_repo2docker==3.0.12")
    Hub(server).install(world.bootstrap, *options, pip=OF_ITS_TIME)


def _inspect(server: Server, permissions: str) -> None:
    """Fail where a permission or an environment is missing."""
    assert environments.permissions(server) == permissions
    assert {environments.COURSE, environments.STATISTICS} <= set(server.images())


@pytest.fixture(scope="module")
def compared(life: Life, copy: Life, world: World) -> list[Downtime]:
    """What users notice without the tool, on the copy, which follows a branch from then on."""
    people = copy.work()
    upgrade = partial(playbook.upgrade, world, copy.real.controller, copy.hub.server)
    return baseline.compare(copy.hub, people, VERSIONS, upgrade, life.add)


@pytest.fixture(scope="module")
def copy(life: Life, world: World) -> Life:
    """A copy of the server. It keeps no images, so they are imported again."""
    controller = world.controller("plasma-copy")
    server = world.copy(life.real.server, "plasma-copy", controller.key)
    environments.build(server)
    hub = Hub(server, passwords=life.hub.passwords, services=SERVICES)
    hub.wait()
    life.hub.wait()
    real = Real(world, controller, hub)
    return Life(
        real,
        people=life.people,
        busy=life.busy,
        note=life.note,
        upgrade="",
        target={},
        spawn=life.spawn,
    )


class TestPlasma(common.Common):
    """Plasma."""

    def test_services_are_there(self, life: Life) -> None:
        """Both services of Plasma answer."""
        life.hub.wait()

    def test_the_commit_of_the_plugin(self, life: Life, upgraded: dict[str, Any]) -> None:
        """Every commit of Plasma says version 0.2.0; the one that runs is another than before."""
        now = common.packages(life.real.tool("status"))["tljh-plasma"]["commit"]
        assert now != upgraded["had"]["tljh-plasma"]["commit"]


class TestAhead:
    """The copy, which upstream's playbook has brought to the newest commit of Plasma."""

    def test_a_newer_plugin_is_not_downgraded(self, copy: Life, world: World) -> None:
        """A server that follows `master` and is newer than our default stays as it is."""
        copy.hub.wait()
        copy.real.adopt()
        before = common.packages(copy.real.tool("status"))
        assert before["tljh-plasma"]["commit"] == world.plasma.commit("HEAD")
        copy.real.says("backup")
        copy.real.says("check")
        copy.real.says("upgrade")
        now = common.packages(copy.real.tool("status"))
        assert now["tljh-plasma"] == before["tljh-plasma"], json.dumps([before, now])
        copy.log_in()
