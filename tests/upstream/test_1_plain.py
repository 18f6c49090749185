"""Plain TLJH 1.0.0 → 2.0.0 → main: FirstUse logins, systemd, the idle culler as TLJH ships it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import baseline
import pytest
from downtime import Downtime, measured
from hub import Hub
from machines import until
from real import Real
from results import Recorder
from visitor import Visitor
from world import World

STORY = "test_1_plain.py"
PEOPLE = ("admin", "alice", "bob", "carol")
WORKING = ("alice", "bob")
# Today's pip would bring the newer one, with which no JupyterHub of 2023 was ever run.
OF_ITS_TIME = "sqlalchemy<2.1\n"
NOTE = "/home/jupyter-alice/lesson.ipynb"
EXTRA = """# What an administrator has written.
c.Spawner.environment = {"COURSE": "biology"}
c.JupyterHub.template_vars = {"announcement": "Tuesday: no course"}
"""
VALUES = (
    ("limits.memory", "1G"),
    ("limits.cpu", "2"),
    ("user_environment.default_app", "jupyterlab"),
)


@dataclass
class Plain:
    """The server, and what its users do."""

    real: Real
    working: dict[str, Visitor] = field(default_factory=dict)

    @property
    def hub(self) -> Hub:
        return self.real.hub

    def log_in(self) -> None:
        """Log every person in again. Fails for who cannot."""
        for name in PEOPLE:
            self.hub.visitor(name)


@pytest.fixture(scope="session")
def installed(world: World) -> Plain:
    """TLJH 1.0.0, by its own installer."""
    controller = world.controller("plain")
    hub = Hub(world.boot("plain", controller.key))
    hub.install(world.bootstrap, "--version", "1.0.0", "--admin", "admin", pip=OF_ITS_TIME)
    hub.wait()
    return Plain(Real(world, controller, hub))


@pytest.fixture(scope="session")
def lived_in(installed: Plain) -> Plain:
    """What an administrator and the users of a year leave: settings, packages, a kernel, homes."""
    server = installed.real.server
    server.run(
        "sh", "-c", "cat > /opt/tljh/config/jupyterhub_config.d/course.py", stdin=EXTRA.encode()
    )
    installed.hub.configure(*VALUES)
    python = "/opt/tljh/user/bin/python"
    server.run(python, "-m", "pip", "install", "--quiet", "cowsay==6.1")
    kernel = ("--prefix", "/opt/tljh/user", "--name", "course", "--display-name", "Course")
    server.run(python, "-m", "ipykernel", "install", *kernel)
    installed.hub.add_people("admin", PEOPLE[1:])
    for name in PEOPLE:
        installed.hub.visitor(name)
    for name in WORKING:
        installed.working[name] = installed.hub.work(name)
    server.run("sh", "-c", f"echo lesson > {NOTE}; chown jupyter-alice: {NOTE}")
    return installed


def test_upstreams_installer_brings_the_hub(installed: Plain) -> None:
    """TLJH 1.0.0 is installed by its own bootstrap.py, and answers."""
    server = installed.real.server
    assert server.run("/opt/tljh/hub/bin/jupyterhub", "--version").startswith("4.")


def test_users_work(lived_in: Plain) -> None:
    """Users log in, and two of them work in servers that systemd runs."""
    units = lived_in.real.processes()
    assert {"jupyter-alice.service", "jupyter-bob.service"} <= set(units)


@pytest.fixture(scope="session")
def compared(lived_in: Plain, world: World, recorder: Recorder) -> Iterator[list[Downtime]]:
    """What a restart costs, what the limit is, and upstream's way, on a copy of the server."""
    copy = world.copy(lived_in.real.server, "plain-copy")
    hub = Hub(copy, passwords=lived_in.hub.passwords)
    hub.wait()
    people = [hub.work(name) for name in WORKING]
    install = partial(hub.install, world.bootstrap, "--version", "2.0.0", pip=OF_ITS_TIME)
    yield baseline.compare(hub, people, "TLJH 1.0.0 → 2.0.0", install, partial(recorder.add, STORY))
    world.drop(copy)


def test_what_it_costs_without_the_tool(compared: list[Downtime]) -> None:
    """A bare restart, the limit and upstream's own way are measured on a copy of the server."""
    assert [each.action for each in compared] == list(baseline.ACTIONS)


@pytest.fixture(scope="session")
def adopted(lived_in: Plain) -> dict[str, Any]:
    """The tool is brought to the server."""
    real = lived_in.real
    lived_in.working = {name: lived_in.hub.work(name) for name in WORKING}
    before = (real.files(), real.processes())
    real.adopt()
    return {"before": before, "after": (real.files(), real.processes())}


def test_adoption_changes_nothing_of_the_hub(adopted: dict[str, Any]) -> None:
    """Adoption changes no file of the hub and restarts nothing."""
    (files, processes), (files_now, processes_now) = adopted["before"], adopted["after"]
    ours = {line for line in files_now - files if "tljh-runbook" not in line.split()[0]}
    gone = {line for line in files - files_now if line.split()[0] != "/etc/systemd/system"}
    assert not {line for line in ours if line.split()[0] not in FOLDERS}
    assert not {line for line in gone if line.split()[0] not in FOLDERS}
    assert processes_now == processes


# Where the tool's own units are linked.
FOLDERS = {"/etc/systemd/system", "/etc/systemd/system/multi-user.target.wants"}


def test_status(lived_in: Plain, adopted: dict[str, Any]) -> None:
    """`status` finds the hub healthy, and names its versions."""
    status = lived_in.real.tool("status")
    assert status["healthy"], status["wrong"]
    assert status["versions"]["tljh"]["version"] == "1.0.0"
    lived_in.real.says("status")


@pytest.fixture(scope="session")
def backed_up(lived_in: Plain, adopted: dict[str, Any]) -> str:
    """A snapshot of everything."""
    return lived_in.real.says("backup")


def test_check(lived_in: Plain, backed_up: str) -> None:
    """`check` finds no reason against the upgrade."""
    lived_in.real.says("check")


def test_no_plugin_is_announced(lived_in: Plain, backed_up: str) -> None:
    """A hub without a plugin is to get none."""
    assert "plasma" not in lived_in.real.says("check").lower()


@pytest.fixture(scope="session")
def rehearsed(lived_in: Plain, backed_up: str) -> str:
    """The upgrade is tried on copies."""
    return lived_in.real.says("rehearse")


def test_a_rehearsal_changes_nothing(lived_in: Plain, rehearsed: str) -> None:
    """After the rehearsal the same version runs, and users work on."""
    assert lived_in.real.tool("status")["versions"]["tljh"]["version"] == "1.0.0"
    lived_in.log_in()


@dataclass
class Upgraded:
    """What an upgrade did."""

    processes: dict[str, str]
    after: dict[str, str]
    report: Any


def upgrade(
    plain: Plain, versions: str, record: Recorder, words: tuple[str, ...] = ("upgrade",)
) -> Upgraded:
    """Upgrade or roll back while it is measured."""
    before = plain.real.processes()
    found: list[Any] = []
    record.add(
        STORY,
        measured(
            plain.hub,
            list(plain.working.values()),
            versions,
            f"tljh-runbook {words[0]}",
            lambda: found.append(plain.real.tool(*words)),
        ),
    )
    return Upgraded(before, plain.real.processes(), found[0])


@pytest.fixture(scope="session")
def upgraded(lived_in: Plain, rehearsed: str, recorder: Recorder) -> Upgraded:
    """To the default: TLJH 2.0.0."""
    return upgrade(lived_in, "TLJH 1.0.0 → 2.0.0", recorder)


def test_the_upgrade(lived_in: Plain, upgraded: Upgraded) -> None:
    """The upgrade brings TLJH 2.0.0 with JupyterHub 5, and no plugin."""
    found = lived_in.real.tool("status")
    assert found["healthy"], found["wrong"]
    assert found["versions"]["tljh"]["version"] == "2.0.0"
    assert found["versions"]["jupyterhub"]["version"].startswith("5.")
    assert "plasma" not in json.dumps(found["versions"])


def test_users_servers_run_on(upgraded: Upgraded) -> None:
    """No process of a user's server was restarted."""
    for name in WORKING:
        unit = f"jupyter-{name}.service"
        assert upgraded.after.get(unit) == upgraded.processes[unit]


def test_everyone_logs_in_after_the_upgrade(lived_in: Plain, upgraded: Upgraded) -> None:
    """Everyone who could log in before the upgrade can log in after it."""
    lived_in.log_in()


def test_what_the_admin_made_is_there(lived_in: Plain, upgraded: Upgraded) -> None:
    """Settings, comments, packages and kernels of the administrator are as before."""
    server = lived_in.real.server
    assert server.read("/opt/tljh/config/jupyterhub_config.d/course.py") == EXTRA.strip()
    assert "1G" in server.read("/opt/tljh/config/config.yaml")
    assert server.run("/opt/tljh/user/bin/python", "-c", "import cowsay; print(1)") == "1"
    assert "course" in server.run("/opt/tljh/user/bin/jupyter", "kernelspec", "list")


def test_a_second_upgrade_does_nothing(lived_in: Plain, upgraded: Upgraded) -> None:
    """The same upgrade again restarts nothing."""
    before = lived_in.real.processes()
    lived_in.real.says("upgrade")
    assert lived_in.real.processes() == before


@pytest.fixture(scope="session")
def rolled_back(lived_in: Plain, upgraded: Upgraded, recorder: Recorder) -> Upgraded:
    """Back to TLJH 1.0.0."""
    lived_in.real.says("backup")
    return upgrade(lived_in, "TLJH 2.0.0 → 1.0.0", recorder, ("rollback", "--yes"))


def test_the_rollback(lived_in: Plain, rolled_back: Upgraded) -> None:
    """A rollback brings TLJH 1.0.0 back, and everyone logs in."""
    found = lived_in.real.tool("status")
    assert found["healthy"], found["wrong"]
    assert found["versions"]["tljh"]["version"] == "1.0.0"
    lived_in.log_in()


@pytest.fixture(scope="session")
def on_main(lived_in: Plain, rolled_back: Upgraded, world: World, recorder: Recorder) -> Upgraded:
    """To 2.0.0 again, and from there to TLJH's main branch."""
    lived_in.real.says("backup")
    lived_in.real.says("upgrade")
    lived_in.real.want(tljh_version=world.tljh.commit("HEAD"))
    lived_in.real.controller.play("runbook")
    lived_in.real.says("backup")
    lived_in.working = {name: lived_in.hub.work(name) for name in WORKING}
    return upgrade(lived_in, "TLJH 2.0.0 → main", recorder)


def test_the_upgrade_to_main(lived_in: Plain, on_main: Upgraded, world: World) -> None:
    """The upgrade to TLJH's main branch works, and everyone logs in."""
    found = lived_in.real.tool("status")
    assert found["healthy"], found["wrong"]
    assert found["versions"]["tljh"]["commit"] == world.tljh.commit("HEAD")
    lived_in.log_in()


@pytest.fixture(scope="session")
def safe(lived_in: Plain, on_main: Upgraded) -> None:
    """A snapshot of what is to be lost."""
    lived_in.real.says("backup")


def test_restoring_a_file(lived_in: Plain, safe: None) -> None:
    """One spoilt file of a user comes back, and the hub runs on."""
    before = lived_in.real.processes()
    lived_in.real.server.run("sh", "-c", f"echo oops > {NOTE}")
    lived_in.real.says("restore", "--user", "alice", "--path", "lesson.ipynb", "--yes")
    assert lived_in.real.server.read(NOTE) == "lesson"
    assert lived_in.real.processes() == before


def test_restoring_a_home(lived_in: Plain, safe: None) -> None:
    """A user's whole home comes back, with owners."""
    server = lived_in.real.server
    server.run("rm", "-rf", "/home/jupyter-carol")
    lived_in.real.says("restore", "--user", "carol", "--yes")
    assert server.run("stat", "--format=%U", "/home/jupyter-carol") == "jupyter-carol"


def restore(plain: Plain, recorder: Recorder, *words: str) -> Upgraded:
    plain.working = {name: plain.hub.work(name) for name in WORKING}
    done = upgrade(plain, " ".join(words) or "everything", recorder, ("restore", *words, "--yes"))
    plain.hub.wait()
    return done


def test_restoring_the_database(lived_in: Plain, safe: None, recorder: Recorder) -> None:
    """The database comes back; users' servers run on, and everyone logs in."""
    done = restore(lived_in, recorder, "database")
    assert lived_in.real.tool("status")["healthy"]
    for name in WORKING:
        assert done.after[f"jupyter-{name}.service"] == done.processes[f"jupyter-{name}.service"]
    lived_in.log_in()


def test_restoring_everything(lived_in: Plain, safe: None, recorder: Recorder) -> None:
    """Everything comes back at once."""
    restore(lived_in, recorder)
    assert lived_in.real.tool("status")["healthy"]
    lived_in.log_in()


def test_restoring_a_lost_hub_environment(lived_in: Plain, safe: None) -> None:
    """After `rm -rf /opt/tljh/hub` the recorded versions come back, and everyone logs in."""
    before = lived_in.real.tool("status")["versions"]
    lived_in.real.server.run("rm", "-rf", "/opt/tljh/hub")
    lived_in.real.says("restore", "--yes")
    lived_in.hub.wait()
    assert lived_in.real.tool("status")["versions"] == before
    lived_in.log_in()


def test_restoring_a_lost_tljh(lived_in: Plain, safe: None, world: World) -> None:
    """After the loss of all of /opt/tljh the recorded hub comes back, and everyone logs in."""
    before = lived_in.real.tool("status")["versions"]
    server = lived_in.real.server
    server.run("systemctl", "stop", "jupyterhub", "traefik")
    server.run("rm", "-rf", "/opt/tljh")
    world.put_in_place(server)
    lived_in.real.says("restore", "--yes")
    lived_in.hub.wait()
    until(lambda: lived_in.real.tool("status")["healthy"], "the hub is healthy", 120)
    assert lived_in.real.tool("status")["versions"] == before
    assert "1G" in server.read("/opt/tljh/config/config.yaml")
    lived_in.log_in()
