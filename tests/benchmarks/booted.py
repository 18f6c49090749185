"""Upgrades of a booted server, whose users work in containers, beside a bare restart of its hub."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import engine
import machines
import releases
from controller import Controller
from machines import Server, until
from rows import Row
from story import ENVIRONMENT, USERS, Story, Web, build_environments, hand_over, publish
from upgrade import Trip, each_round, trip
from working_hub import Cost, measured

from tljh_runbook.hub.servers.probe import Target
from tljh_runbook.sandbox import layout

NAME = "measured"
CACHE = Path(".pytest_cache", "d", "system")  # the tests keep the servers' packages there


class BootedHub:
    """A server that can be upgraded to one version, with the same proxy, and rolled back."""

    def __init__(self, story: Story) -> None:
        self.server = story.one
        self.visitors = [story.visitor(self.server, name) for name in USERS]
        for visitor in self.visitors:
            visitor.start_server(ENVIRONMENT)
        for visitor in self.visitors:
            until(lambda: visitor.server().get("ready"), visitor.name)  # noqa: B023

    def cost(self, action: Callable[[], object]) -> Cost:
        """Do something to the hub, wait until it is back, and return what that cost users."""
        pages = {"hub": "hub/login", **{name: f"user/{name}/api" for name in USERS}}
        targets = {
            name: Target(f"http://{self.server.address}/{page}") for name, page in pages.items()
        }
        with ExitStack() as stack:
            sockets = [
                stack.enter_context(visitor.websocket(visitor.token())) for visitor in self.visitors
            ]
            return measured(targets, sockets, action, self.wait)

    def wait(self) -> None:
        """Wait until the hub has wholly started: one that is still starting stops at once."""
        until(self.server.serves, "the hub and its services answer", 300)

    def restart(self) -> None:
        """Restart the hub, and nothing but it, as an administrator types it."""
        self.server.run("systemctl", "restart", "jupyterhub")

    def tool(self, *words: str) -> Any:
        """Run the tool. Fails where it fails."""
        return self.server.tool(*words)


def rows(folder: Path, rounds: int) -> Iterator[Row]:
    """Yield the figures of so many rounds; after Ctrl-C, of those that were whole by then."""
    with booted(folder) as hub:
        done = each_round(partial(trip, hub), rounds)
    yield from figures(done)


def figures(rounds: list[Trip]) -> Iterator[Row]:
    """Yield what the rounds tell."""
    new, old = "bare restart of the new version", "bare restart of the old version"
    pairs = [(each.upgrade.away, each.restart_new.away) for each in rounds]
    yield Row("server: upgrade, hub away", new, "s", 1.3, pairs)
    failed = [(each.upgrade.failed, each.restart_new.failed) for each in rounds]
    name = "server: questions that users' containers did not answer"
    yield Row(name, new, "questions", 0, failed)
    closed = [(each.upgrade.closed, each.restart_new.closed) for each in rounds]
    yield Row("server: websockets of users closed", new, "closed", 0, closed)
    nothing = [(each.nothing.seconds, None) for each in rounds]
    yield Row("server: upgrade with nothing to do", "", "s", 5.0, nothing)
    back = [(each.rollback.away, each.restart_old.away) for each in rounds]
    yield Row("server: rollback, hub away", old, "s", 1.5, back)


@contextmanager
def booted(folder: Path) -> Iterator[BootedHub]:
    """Boot a server and bring a hub with users at work to it; take it down at the end."""
    for each in ("engine", "web"):
        (folder / each).mkdir()
    CACHE.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        os.environ["DOCKER_HOST"] = stack.enter_context(engine.running(folder / "engine"))
        machines.image(CACHE)
        controller = Controller.make(folder / "checkout")
        server = machines.boot(NAME, controller.key)
        machines.bring_uv(server)
        stack.callback(engine.docker, "rm", "--force", "--volumes", NAME)
        web = Web(folder / "web", engine.SYSTEM.gateway)
        stack.enter_context(web.listening())
        commits = publish(folder / "web", ())
        newer = releases.tljh(layout.layout(folder / "web"))
        hand_over(folder / "web", (server,))
        yield BootedHub(_brought(Story(controller, server, server, web, commits), server, newer))


def _brought(story: Story, server: Server, newer: str) -> Story:
    """Bring the old version and its users to the server, and let it ask for the newer one."""
    story.want("1.0.0", "older")
    for name in ("site", "groups", "users"):
        story.controller.play(name)
    server.run("/opt/tljh/hub/bin/tljh-config", "set", "services.cull.timeout", "36000")
    build_environments(server)
    story.want(newer, "newer")
    story.controller.play("runbook")
    return story
