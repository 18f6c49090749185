"""Two servers that are booted once, and what is done to them: each deed is a fixture.

A test asks for the deed that it is about, and only looks. The files are numbered in the order of
the story, because a later deed changes what an earlier test looks at.
"""

from __future__ import annotations

import sys
from collections.abc import Generator, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).with_name("booted")))
# What carries out the examples of the pages: some need a booted server.
sys.path.insert(0, str(Path(__file__).parents[1] / "docs"))

import engine
import machines
from controller import Controller
from machines import Server, until
from story import ENVIRONMENT, USERS, Story, Web, Working, build_environments, publish

UNITS = ("-u", "jupyterhub", "-u", "traefik", "-u", "docker", "-u", "tljh-runbook*")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give the tests that wait for a deed the time that two installations take."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.timeout(2400))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show with a test that fails what the servers have written down of their services."""
    made = yield
    found = getattr(item, "funcargs", {}).get("story")
    if made.failed and isinstance(found, Story):
        for server in found.servers:
            with suppress(OSError):  # it may be the server itself that is gone
                said = server.tried("journalctl", "--no-pager", "--lines=200", *UNITS).stdout
                made.sections.append((f"journal of {server.name}", said))
    return made


@pytest.fixture(scope="session")
def story(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> Iterator[Story]:
    """Two booted servers, and an administrator who reaches them; nothing is done yet."""
    engine.require()
    folder = tmp_path_factory.mktemp("system")
    for each in ("engine", "web"):
        (folder / each).mkdir()
    with ExitStack() as stack:
        stack.enter_context(pytest.MonkeyPatch.context()).setenv(
            "DOCKER_HOST", stack.enter_context(engine.running(folder / "engine"))
        )
        machines.image(pytestconfig.cache.mkdir("system"))
        controller = Controller.make(folder / "checkout")
        servers = []
        for name in ("one", "two"):
            servers.append(machines.boot(name, controller.key))
            machines.bring_uv(servers[-1])
            stack.callback(engine.docker, "rm", "--force", "--volumes", name)
        web = Web(folder / "web", engine.SYSTEM.gateway)
        stack.enter_context(web.listening())
        commits = publish(folder / "web", tuple(servers))
        yield Story(controller, servers[0], servers[1], web, commits)


@pytest.fixture(scope="session")
def deployed(story: Story) -> str:
    """Bring Docker, TLJH and the runbook to both servers; what the playbook printed."""
    story.want("1.0.0", "older")
    return story.controller.play("site")


@pytest.fixture(scope="session")
def inhabited(story: Story, deployed: str) -> Iterator[dict[str, Working]]:
    """Make accounts and environments; let users log in, start servers and keep websockets open."""
    for server in story.servers:  # users who only look at the page are idle, and stay all the same
        server.run("/opt/tljh/hub/bin/tljh-config", "set", "services.cull.timeout", "36000")
    story.controller.play("groups")
    story.controller.play("users")
    with ExitStack() as stack:
        found = {}
        for server in story.servers:
            build_environments(server)
            found[server.name] = _work(story, server, stack)
        yield found


def _work(story: Story, server: Server, stack: ExitStack) -> Working:
    visitors, sockets = {}, {}
    for name in USERS:
        visitor = visitors[name] = story.visitor(server, name)
        visitor.start_server(ENVIRONMENT)
        until(lambda: visitor.server().get("ready"), f"the server of {name}")  # noqa: B023
        token = story.secrets[f"token of {name} on {server.name}"] = visitor.token()
        sockets[name] = stack.enter_context(visitor.websocket(token))
    return Working(server, visitors, sockets, server.containers())
