"""Upgrades of a real hub with users at work, in order: those that fail cost nobody anything."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import releases
from hub_fixtures import broken_or_unseen
from visitor import Visitor
from websockets.sync.client import ClientConnection

from tljh_runbook import errors
from tljh_runbook.hub.context import Source
from tljh_runbook.hub.core import copies, settings
from tljh_runbook.hub.core.layout import Hub
from tljh_runbook.hub.database import sqlite
from tljh_runbook.hub.runs import journal, worker
from tljh_runbook.hub.system import namespace, services
from tljh_runbook.hub.upgrade import quiet, state_file
from tljh_runbook.hub.upgrade.stage import stage
from tljh_runbook.sandbox.contents import GROUP
from tljh_runbook.sandbox.layout import Layout, layout
from tljh_runbook.sandbox.processes import end_all

from .conftest import Sandbox, run

pytestmark = pytest.mark.long
TOOL = Path(sys.executable).with_name("tljh-runbook")
OLD, NEW = "0eee8c825d24", "4621fec11365"  # revisions of the hub's database


@dataclass(frozen=True)
class Working:
    """A sandbox whose users have notebooks open."""

    box: Sandbox
    sockets: dict[str, ClientConnection]
    visitors: dict[str, Visitor]
    tokens: dict[str, str]

    @property
    def place(self) -> Layout:
        return self.box.place

    def tool(self, *words: str) -> subprocess.CompletedProcess[str]:
        command = [str(TOOL), *words, "--json", "--hub", str(self.place.prefix)]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    def upgrade(self) -> dict[str, Any]:
        """Back up and upgrade; return how that ended."""
        assert self.tool("backup").returncode == 0
        end: dict[str, Any] = json.loads(self.tool("upgrade").stdout)
        return end

    @property
    def revision(self) -> str | None:
        return sqlite.revision(self.place.state / "jupyterhub.sqlite")

    def seen(self) -> dict[str, Any]:
        """Return what an upgrade that fails must leave as it is."""
        prefix, status = self.place.prefix, self.box.status
        folders = ("hub", "user")
        parts: dict[str, Any] = {each: copies.fingerprint(prefix / each) for each in folders}
        parts["settings"] = (self.place.config / "config.yaml").read_bytes()
        parts["units"] = (self.place.root / "etc/supervisor/supervisord.conf").read_bytes()
        pids = {name: each["pid"] for name, each in status["services"].items()}
        return parts | {"pids": pids, "servers": status["servers"], "revision": self.revision}

    def nothing_is_left(self) -> bool:
        hub = Hub(self.place.prefix)
        left = (stage.place(hub).prefix, stage.beside(hub))
        return state_file.read(hub) is None and not any(path.exists() for path in left)


@pytest.fixture(scope="module")
def working(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Working]:
    place = layout(tmp_path_factory.mktemp("staged") / "box, with a comma")
    if reason := namespace.refused(place.root.parent):
        pytest.skip(reason)
    with ExitStack() as stack:
        stack.callback(end_all, place)
        done = run("up", place.root, "--take-down", "invoke sandbox.down")
        assert done.returncode == 0, done.stderr
        install(place, "ipykernel")
        made = Working(Sandbox(place), {}, {}, {})
        for name in ("alice", "bob"):
            log_in(made, name, stack)
        yield made


def install(place: Layout, package: str) -> None:
    """Install a package for the users, as an administrator does."""
    python = place.prefix / "user" / "bin" / "python"
    uv = str(TOOL.with_name("uv"))
    command = [uv, "pip", "install", "--quiet", "--python", str(python), package]
    subprocess.run(command, check=True)


def log_in(working: Working, name: str, stack: ExitStack) -> None:
    """Have a user log in and open a websocket to a server that runs."""
    status = working.box.status
    visitor = Visitor(status["address"], name, status["password"])
    visitor.log_in()
    working.visitors[name], working.tokens[name] = visitor, visitor.token()
    socket = stack.enter_context(visitor.websocket(working.tokens[name]))
    working.sockets[name] = socket


def wait_for(working: Working, text: str) -> None:
    """Wait until the upgrade has told this; fail where it ends before."""
    hub = Hub(working.place.prefix)
    while not any(text in each.get("text", "") for each in journal.read(hub, "upgrade")):
        assert journal.state(hub, "upgrade")["running"]
        time.sleep(0.1)


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as opened:
        yield opened


def ask(working: Working, method: str, path: str, body: object = None) -> bool:
    """Ask the hub's API for something; say whether it was done."""
    token = working.place.token.read_text(encoding="utf-8").strip()
    request = urllib.request.Request(
        f"{working.box.status['address']}/hub/api/{path}",
        method=method,
        data=json.dumps(body or {}).encode(),
        headers={"Authorization": f"token {token}"},
    )
    with suppress(OSError), urllib.request.urlopen(request, timeout=60):
        return True
    return False


def alive(working: Working) -> bool:
    """Say whether every websocket answers a ping."""
    return all(socket.ping().wait(timeout=30) for socket in working.sockets.values())


def test_what_fails_before_the_swap_touches_nothing(working: Working) -> None:
    before = working.seen()
    for make, says in (
        (releases.failing_installer, "The network is away"),
        (releases.failing_migration, "cannot migrate the database"),
    ):
        releases.ask(working.place, tljh=make(working.place))
        end = working.upgrade()
        assert says in end["error"]["message"]
        assert "not touched" in end["error"]["message"]
        assert working.seen() == before
        assert working.nothing_is_left()
    assert alive(working)


def test_a_plugin_that_cannot_be_imported_touches_nothing(working: Working) -> None:
    before = working.seen()
    releases.ask(working.place, plugin=releases.broken_plugin(working.place))
    end = working.upgrade()
    assert end["code"] in {errors.RehearsalFailed.code, errors.InstallerFailed.code}
    assert "not touched" in end["error"]["message"]
    assert working.seen() == before
    assert working.nothing_is_left()
    assert alive(working)


def test_a_hub_that_crashes_after_the_swap_is_rolled_back(working: Working) -> None:
    before = working.seen()
    releases.ask(
        working.place,
        tljh=releases.tljh(working.place),
        plugin=releases.crashing_hub(working.place),
        healthy_within=15,
    )
    end = working.upgrade()
    assert end["code"] == errors.UpgradeRolledBack.code
    now = working.seen()
    assert now.pop("pids")["traefik"] == before["pids"]["traefik"]  # it had no reason to restart
    assert now == {name: each for name, each in before.items() if name != "pids"}
    assert working.nothing_is_left()
    assert working.box.hub_version() == "4.1.6"
    assert alive(working)


def test_an_upgrade_that_migrates_cuts_nobody_off(working: Working) -> None:
    before = working.seen()
    assert before["revision"] == OLD
    releases.ask(working.place, tljh=releases.tljh(working.place))
    alice, token = working.visitors["alice"], working.tokens["alice"]
    kernel = alice.compute(token)
    assert working.tool("backup").returncode == 0
    assert working.tool("upgrade", "--when-quiet", "10", "--detach").returncode == 0
    wait_for(working, "Wait for a quiet moment: alice (1 kernel at work)")
    assert working.seen() == before
    assert ask(working, "POST", "users/carol/server")
    alice.interrupt(kernel, token)
    wait_for(working, "Start the hub")
    # As soon as the hub answers carol stops her server, and somebody joins the group.
    while not ask(working, "DELETE", "users/carol/server"):
        time.sleep(0.05)
    assert ask(working, "POST", f"groups/{GROUP}/users", {"users": ["carol"]})
    (working.place.homes / "carol" / "measurements.csv").unlink()
    end = worker.follow(Hub(working.place.prefix), "upgrade", lambda _: None)
    assert end["error"] is None
    told = {each["guarantee"]: each["measured"] for each in end["report"]["verdicts"]}
    assert "carol: was stopped, or ended on its own" in told["user servers"]
    assert "carol is new in the group" in told["users and groups"]
    assert "changed meanwhile: 'carol' (-1)" in told["user data"]
    left = {each["name"]: each for each in end["report"]["outages"]}["server of carol"]
    assert (left["left"], left["away"]) == (True, 0)
    assert working.revision == NEW
    assert working.box.hub_version() == "5.5.4"
    failed = {each["name"]: each["failed"] for each in end["report"]["outages"]}
    assert failed["hub"] > 0
    assert (failed["server of alice"], failed["server of bob"]) == (0, 0)
    assert broken_or_unseen(end["report"]) == set()
    assert working.seen()["servers"] == before["servers"]
    assert working.seen()["pids"]["traefik"] == before["pids"]["traefik"]
    assert alive(working)


def test_nothing_to_do_is_nothing_done(working: Working) -> None:
    before = working.seen()
    end = working.upgrade()
    assert (end["code"], end["report"]["changed"]) == (0, False)
    assert working.seen() == before


def test_a_migrated_upgrade_is_rolled_back_by_hand(working: Working, stack: ExitStack) -> None:
    plan = json.loads(working.tool("rollback", "--dry-run").stdout)
    assert any(name.startswith("jupyterhub: ") for name in plan["lost"])
    assert plan["born"] == plan["orphaned"] == []
    carol = Visitor(working.box.status["address"], "carol", working.box.status["password"])
    carol.log_in()
    carol.start_server("")
    while not carol.server().get("ready"):
        time.sleep(0.1)
    sockets = working.sockets | {"carol": stack.enter_context(carol.websocket(carol.token()))}
    plan = json.loads(working.tool("rollback", "--dry-run").stdout)
    assert (plan["born"], plan["orphaned"]) == (["carol"], [])
    servers = working.box.status["servers"]
    assert set(servers) == {"alice", "bob", "carol"}
    end = json.loads(working.tool("rollback", "--yes").stdout)
    assert end["error"] is None
    assert working.revision == OLD
    assert working.box.hub_version() == "4.1.6"
    assert working.box.status["servers"] == servers
    (kept,) = Hub(working.place.prefix).work.glob("taken-back-*/jupyterhub")
    assert sqlite.revision(kept) == NEW
    failed = {each["name"]: each["failed"] for each in end["report"]["outages"]}
    assert {failed[f"server of {name}"] for name in servers} == {0}
    # The hub that came back knows the tokens of all three, and each lets its own token in.
    hub = Hub(working.place.prefix)
    chosen = settings.load(hub)
    assert quiet.at_work(Source(hub, chosen, services.of(hub, chosen))) == []
    assert carol.server()["ready"]
    assert working.nothing_is_left()
    assert alive(replace(working, sockets=sockets))
