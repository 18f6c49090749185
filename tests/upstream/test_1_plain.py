"""Plain TLJH 1.0.0 → 2.0.0 → main, with FirstUse logins and servers that systemd runs."""

from __future__ import annotations

from functools import partial

import baseline
import common
import pytest
from downtime import Downtime
from hub import Hub
from life import Life
from machines import Server
from real import Real
from results import Recorder
from world import OF_ITS_TIME, World

STORY = "test_1_plain.py"
VERSIONS = "TLJH 1.0.0 → 2.0.0"
EXTRA = """# What an administrator has written.
c.Spawner.environment = {"COURSE": "biology"}
c.JupyterHub.template_vars = {"announcement": "Tuesday: no course"}
"""
VALUES = (
    ("limits.memory", "1G"),
    ("limits.cpu", "2"),
    ("user_environment.default_app", "jupyterlab"),
)
PYTHON = "/opt/tljh/user/bin/python"
KERNEL = ("--prefix", "/opt/tljh/user", "--name", "course", "--display-name", "Course")


@pytest.fixture(scope="module")
def life(world: World, recorder: Recorder) -> Life:
    """TLJH 1.0.0 by its own installer, and what an administrator and users leave in a year."""
    controller = world.controller("plain")
    hub = Hub(world.tljh_1("plain", controller.key))
    hub.wait()
    life = Life(
        Real(world, controller, hub),
        people=("admin", "alice", "bob", "carol"),
        busy=("alice", "bob"),
        note="/home/jupyter-alice/lesson.ipynb",
        upgrade=VERSIONS,
        target={"tljh": "2.0.0", "jupyterhub": "5."},
        inspect=partial(_inspect, hub.server),
        add=partial(recorder.add, STORY),
    )
    server = hub.server
    folder = "/opt/tljh/config/jupyterhub_config.d"
    server.run("sh", "-c", f"cat > {folder}/course.py", stdin=EXTRA.encode())
    hub.configure(*VALUES)
    server.run(PYTHON, "-m", "pip", "install", "--quiet", "cowsay==6.1")
    server.run(PYTHON, "-m", "ipykernel", "install", *KERNEL)
    hub.add_people("admin", life.people[1:])
    life.work()
    server.run("sh", "-c", f"echo lesson > {life.note}; chown jupyter-alice: {life.note}")
    return life


def _inspect(server: Server) -> None:
    """Fail where a setting, a package or a kernel of the administrator is missing."""
    assert server.read("/opt/tljh/config/jupyterhub_config.d/course.py") == EXTRA.strip()
    assert "1G" in server.read("/opt/tljh/config/config.yaml")
    assert server.run(PYTHON, "-c", "import cowsay; print(1)") == "1"
    assert "course" in server.run("/opt/tljh/user/bin/jupyter", "kernelspec", "list")


@pytest.fixture(scope="module")
def compared(life: Life, world: World) -> list[Downtime]:
    """What users notice without the tool, on a copy of the server."""
    server = world.copy(life.real.server, "plain-copy", life.real.controller.key)
    copy = Hub(server, passwords=life.hub.passwords)
    copy.wait()
    people = [copy.work(name) for name in life.busy]
    install = partial(copy.install, world.bootstrap, "--version", "2.0.0", pip=OF_ITS_TIME)
    done = baseline.compare(copy, people, VERSIONS, install, life.add)
    world.drop(copy.server)
    life.hub.wait()
    return done


class TestPlain(common.Common):
    """Plain TLJH."""

    def test_the_culler_is_on(self, life: Life) -> None:
        """The idle culler runs as TLJH ships it."""
        assert "jupyterhub_idle_culler" in life.real.server.run("ps", "-ef")

    def test_main(self, life: Life, world: World) -> None:
        """The upgrade from 2.0.0 to TLJH's main branch works, and everyone logs in."""
        commit = world.tljh.commit("HEAD")
        life.real.want(tljh_version=commit)
        life.real.controller.play("runbook")
        life.real.says("backup")
        life.do("tljh-runbook upgrade", "upgrade", versions="TLJH 2.0.0 → main")
        found = life.real.tool("status")
        assert found["healthy"], found["wrong"]
        assert found["versions"]["tljh"]["commit"] == commit
        life.log_in()
