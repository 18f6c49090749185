"""The real TLJH and the real Plasma on booted servers: `./invoke test.upstream`.

Each file is the story of one or two servers. A test asks for the deed that it is about, and only
looks; the deeds of a file happen in the order of its tests.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "system" / "booted"))
sys.path.insert(0, str(Path(__file__).with_name("real")))

import engine
import results
from common import packages
from life import Life
from sources import Repository, Source
from story import Web
from world import BOOTSTRAP, World

HERE = Path(__file__).parent
UPSTREAM = {
    "tljh": "https://github.com/jupyterhub/the-littlest-jupyterhub",
    "plasma": "https://github.com/plasmabio/plasma",
}


def pytest_addoption(parser: pytest.Parser) -> None:
    """Say where the sources are, and what is put in place."""
    group = parser.getgroup("upstream")
    for name, address in UPSTREAM.items():
        group.addoption(f"--{name}", default=address, help=f"git address of {name}")
    group.addoption("--place", type=Path, help="folder of files that servers are given first")
    group.addoption("--network", type=int, default=1, help="another one runs beside this one")
    group.addoption("--record", type=Path, help="file that keeps the results")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give each test the time that its deed takes."""
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.timeout(3600))


def pytest_configure(config: pytest.Config) -> None:
    """Keep the results of all tests."""
    config.pluginmanager.register(results.Recorder(config.getoption("--record")), "upstream-record")


@pytest.fixture(scope="session")
def recorder(pytestconfig: pytest.Config) -> results.Recorder:
    """What keeps the results and the downtime."""
    found = pytestconfig.pluginmanager.get_plugin("upstream-record")
    assert isinstance(found, results.Recorder)
    return found


@pytest.fixture(scope="session")
def world(
    tmp_path_factory: pytest.TempPathFactory,
    pytestconfig: pytest.Config,
    recorder: results.Recorder,
) -> Iterator[World]:
    """An engine with a network of its own, and the sources; no server is booted yet."""
    engine.require()
    folder = tmp_path_factory.mktemp("upstream")
    for each in ("engine", "web", "git"):
        (folder / each).mkdir()
    network = engine.upstream(pytestconfig.getoption("--network"))
    with ExitStack() as stack:
        repositories = [
            Repository(Source(address, str(pytestconfig.getoption(f"--{name}"))), folder / "git")
            for name, address in UPSTREAM.items()
        ]
        for repository in repositories:
            repository.clone()
        (folder / "web" / "bootstrap.py").write_bytes(repositories[0].read("HEAD", BOOTSTRAP))
        stack.enter_context(pytest.MonkeyPatch.context()).setenv(
            "DOCKER_HOST",
            stack.enter_context(engine.running(folder / "engine", network)),
        )
        web = Web(folder / "web", network.gateway)
        stack.enter_context(web.listening())
        place = pytestconfig.getoption("--place")
        made = World(
            *(folder, pytestconfig.cache.mkdir("system"), stack, web, *repositories, place)
        )
        recorder.ran_on(made)
        yield made


@pytest.fixture(scope="module")
def adopted(life: Life) -> dict[str, Any]:
    """The tool is brought to the server: files and processes before and after."""
    life.work()
    real = life.real
    before = (real.files(), real.processes())
    real.adopt()
    return {"before": before, "after": (real.files(), real.processes())}


@pytest.fixture(scope="module")
def backed_up(life: Life, adopted: dict[str, Any]) -> str:
    """A snapshot of everything."""
    return life.real.says("backup")


@pytest.fixture(scope="module")
def rehearsed(life: Life, backed_up: str) -> str:
    """The upgrade is tried on copies."""
    return life.real.says("rehearse")


@pytest.fixture(scope="module")
def upgraded(life: Life, backed_up: str) -> dict[str, Any]:
    """The upgrade: versions and processes of users' servers before and after."""
    life.work()
    before, status = life.processes(), life.real.tool("status")
    life.do("tljh-runbook upgrade", "upgrade")
    had = packages(status)
    return {
        "before": before,
        "after": life.processes(),
        "versions before": status["versions"],
        "had": had,
    }


@pytest.fixture(scope="module")
def rolled_back(life: Life, upgraded: dict[str, Any]) -> Any:
    """The upgrade is rolled back."""
    return life.do("tljh-runbook rollback", "rollback", "--yes")


@pytest.fixture(scope="module")
def upgraded_again(life: Life, rolled_back: Any) -> str:
    """The same upgrade, after the rollback."""
    life.real.says("backup")
    return life.real.says("upgrade")


@pytest.fixture(scope="module")
def safe(life: Life, adopted: dict[str, Any]) -> str:
    """A snapshot of what is going to be lost, while users work."""
    life.work()
    return life.real.says("backup")


@pytest.fixture(scope="module")
def versions(life: Life, safe: str) -> dict[str, Any]:
    """What is installed when that snapshot is taken."""
    found: dict[str, Any] = life.real.tool("status")["versions"]
    return found
