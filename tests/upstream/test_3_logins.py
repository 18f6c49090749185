"""Native and PAM logins without an allow setting, from JupyterHub 4 to 5; one hub on port 8080."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field
from functools import partial

import pytest
from hub import Hub
from life import Life
from machines import until
from real import Real
from results import Recorder
from visitor import Visitor
from world import World

STORY = "test_3_logins.py"
VERSIONS = "TLJH 1.0.0 → 2.0.0"
NATIVE = "nativeauthenticator.NativeAuthenticator"
PAM = "jupyterhub.auth.PAMAuthenticator"
KNOWN = ("admin", "alice", "bob")
LOCKED_OUT = 58


@dataclass
class Logins:
    """A hub in use, and who must stay outside."""

    life: Life
    outside: str
    said: list[str] = field(default_factory=list)


def _life(real: Real, recorder: Recorder) -> Life:
    return Life(
        real,
        people=KNOWN,
        busy=("alice",),
        note="/home/jupyter-alice/lesson.ipynb",
        upgrade=VERSIONS,
        target={"tljh": "2.0.0", "jupyterhub": "5."},
        add=partial(recorder.add, STORY),
    )


def _sign_up(hub: Hub, name: str) -> None:
    """Choose a password on the page of NativeAuthenticator."""
    visitor = Visitor(hub.address, name, hub.password(name))
    form = {"username": name, "signup_password": hub.password(name)}
    visitor.submit("hub/signup", form | {"signup_password_confirmation": hub.password(name)})


@pytest.fixture(scope="module")
def native(world: World, recorder: Recorder) -> Logins:
    """People sign up, and the admin lets two of them in."""
    controller = world.controller("native")
    hub = Hub(world.tljh_1("native", controller.key))
    hub.wait()
    hub.configure(("auth.type", NATIVE))
    for name in (*KNOWN, "eve"):
        _sign_up(hub, name)
    for name in KNOWN[1:]:
        hub.visitor("admin").page(f"hub/authorize/{name}")
    return Logins(_life(Real(world, controller, hub), recorder), "eve")


@pytest.fixture(scope="module")
def pam(world: World, recorder: Recorder) -> Logins:
    """People have accounts of the operating system; the hub is on port 8080."""
    controller = world.controller("pam")
    hub = Hub(world.tljh_1("pam", controller.key))
    for name in KNOWN:
        hub.server.run("useradd", "-m", "-s", "/bin/bash", name)
        hub.server.run("chpasswd", stdin=f"{name}:{hub.password(name)}\n".encode())
    hub.wait()
    hub.configure(("auth.type", PAM), ("http.port", "8080"), reload=False)
    for part in ("proxy", "hub"):
        hub.server.run("/opt/tljh/hub/bin/tljh-config", "reload", part)
    hub.port = 8080
    hub.wait()
    return Logins(_life(Real(world, controller, hub), recorder), "mallory")


class Locked:
    """What happens on a hub that would let nobody in with JupyterHub 5."""

    def test_who_can_log_in(self, logins: Logins) -> None:
        """With JupyterHub 4 the users log in, and a stranger does not."""
        logins.life.log_in()
        assert not logins.life.can_log_in(logins.outside)

    def test_check_names_the_breaking_change(self, logins: Logins) -> None:
        """`check` names the setting that JupyterHub 5 asks for, before anything is staged."""
        real = logins.life.real
        real.adopt()
        real.says("backup")
        done = real.server.tried("tljh-runbook", "check")
        logins.said.append(done.stdout + done.stderr)
        assert "allow" in logins.said[-1], logins.said[-1]

    def test_the_rehearsal_names_who_would_be_locked_out(self, logins: Logins) -> None:
        """The rehearsal names everyone who could not log in any more."""
        done = logins.life.real.server.tried("tljh-runbook", "rehearse")
        logins.said.append(done.stdout + done.stderr)
        assert done.returncode == LOCKED_OUT, logins.said[-1]
        assert all(name in logins.said[-1] for name in KNOWN[1:]), logins.said[-1]

    def test_the_upgrade_does_not_swap(self, logins: Logins) -> None:
        """The upgrade ends before the hub is touched."""
        real = logins.life.real
        before = real.processes()
        done = real.server.tried("tljh-runbook", "upgrade")
        logins.said.append(done.stdout + done.stderr)
        assert done.returncode == LOCKED_OUT, logins.said[-1]
        assert real.tool("status")["versions"]["tljh"]["version"] == "1.0.0"
        assert real.processes() == before

    def test_after_the_printed_command_it_upgrades(self, logins: Logins) -> None:
        """After the command that was printed, the same upgrade works."""
        real = logins.life.real
        for words in _commands("\n".join(logins.said)):
            real.server.run(*words)
        real.says("backup")
        logins.life.do("tljh-runbook upgrade", "upgrade")
        assert real.tool("status")["versions"]["jupyterhub"]["version"].startswith("5.")

    def test_the_same_people_can_log_in_and_nobody_else(self, logins: Logins) -> None:
        """With JupyterHub 5 the same people log in, and the stranger does not."""
        assert logins.life.real.tool("status")["versions"]["tljh"]["version"] == "2.0.0"
        logins.life.log_in()
        assert not logins.life.can_log_in(logins.outside)


def _commands(said: str) -> list[list[str]]:
    """Return the commands that were printed, each once."""
    # Each is followed by a full stop, by other words or by the end of its line.
    found = re.findall(r"tljh-config ((?:set|add-item) \S+ \S+?)\.?(?=\s|$)", said)
    assert found, f"no command was printed: {said}"
    tool = "/opt/tljh/hub/bin/tljh-config"
    return [[tool, *shlex.split(line)] for line in dict.fromkeys(found)]


class TestNative(Locked):
    """NativeAuthenticator."""

    @pytest.fixture
    def logins(self, native: Logins) -> Logins:
        return native


class TestPam(Locked):
    """PAMAuthenticator, on port 8080."""

    @pytest.fixture
    def logins(self, pam: Logins) -> Logins:
        return pam

    def test_the_port_is_still_8080(self, pam: Logins) -> None:
        """The hub still answers on its own port alone."""
        until(lambda: pam.life.real.tool("status")["healthy"], "the hub is healthy")
        assert pam.life.hub.port == 8080
