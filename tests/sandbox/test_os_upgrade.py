"""A server whose operating system was upgraded: the Python of its hub is gone, and comes back."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pythons
import releases
from hub_fixtures import broken_or_unseen

from tljh_runbook.hub.core import settings
from tljh_runbook.hub.core.layout import Hub
from tljh_runbook.hub.system import namespace, services
from tljh_runbook.hub.upgrade import state_file
from tljh_runbook.hub.upgrade.stage import stage
from tljh_runbook.hub.versions import interpreter, versions
from tljh_runbook.sandbox import repositories
from tljh_runbook.sandbox.layout import layout
from tljh_runbook.sandbox.processes import end_all

from .conftest import Sandbox, run
from .test_life import until

pytestmark = pytest.mark.long
TOOL = Path(sys.executable).with_name("tljh-runbook")


@dataclass(frozen=True)
class Upgraded:
    """A sandbox as an upgrade of its operating system leaves it."""

    box: Sandbox
    hub: Hub
    before: dict[str, versions.Package]
    """The packages that its hub had."""
    servers: dict[str, Any]
    environment: dict[str, str]

    def tool(self, *words: str) -> Any:
        command = [str(TOOL), *words, "--json", "--hub", str(self.hub.prefix)]
        done = subprocess.run(
            command, env=self.environment, capture_output=True, text=True, check=False
        )
        return json.loads(done.stdout)

    def runs(self) -> bool:
        manager = services.of(self.hub, settings.load(self.hub))
        return manager.pid(services.HUB) is not None


@pytest.fixture(scope="module")
def upgraded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Upgraded]:
    folder = tmp_path_factory.mktemp("os")
    new = pythons.newer()
    if reason := namespace.refused(folder):
        pytest.skip(reason)
    place = layout(folder / "box")
    try:
        done = run("up", place.root, "--take-down", "invoke sandbox.down")
        assert done.returncode == 0, done.stderr
        box, hub = Sandbox(place), Hub(place.prefix)
        manager = services.of(hub, settings.load(hub))
        # It runs with the old system's Python, until the system is upgraded and starts again.
        pythons.bind(hub.environment, pythons.copy(pythons.own(), folder / "old"))
        manager.restart(services.HUB)
        until(lambda: box.status["state"] == "up")
        environment = pythons.found_first(new, folder / "bin")
        made = Upgraded(box, hub, versions.packages(hub), box.status["servers"], environment)
        shutil.rmtree(folder / "old")
        manager.stop(services.HUB)
        yield made
    finally:
        end_all(place)


def test_check_names_what_is_gone_and_what_mends_it(upgraded: Upgraded) -> None:
    assert upgraded.tool("backup")
    assert not upgraded.runs()
    found = {each["check"]: each for each in upgraded.tool("check")}
    assert "which is not there" in found["python"]["found"]
    assert "tljh-runbook upgrade" in found["python"]["warning"]
    assert all(each["ok"] for each in found.values())
    assert "Python" in found["changes"]["found"]


def test_an_upgrade_makes_the_environment_again_at_the_same_versions(upgraded: Upgraded) -> None:
    place = upgraded.box.place
    older = repositories.git(place, place.repositories / "plasma", "rev-parse", "older")
    releases.ask(place, tljh="1.0.0", plugin=older)
    end = upgraded.tool("upgrade")
    assert end["error"] is None, end
    assert interpreter.gone(upgraded.hub) == ""
    assert upgraded.box.hub_version() == "4.1.6"
    now = versions.packages(upgraded.hub)
    own = {"pip", "setuptools", "wheel"}
    assert {name: each for name, each in now.items() if name not in own} == {
        name: each for name, each in upgraded.before.items() if name not in own
    }
    assert upgraded.box.status["servers"] == upgraded.servers
    assert broken_or_unseen(end["report"]) == set()
    assert [row[0] for row in end["report"]["changes"]] == ["Python", "limits.cpu"]
    assert state_file.read(upgraded.hub) is None
    assert not stage.place(upgraded.hub).prefix.exists()


def test_what_cannot_run_any_more_is_not_gone_back_to(upgraded: Upgraded) -> None:
    end = upgraded.tool("rollback", "--yes")
    assert "cannot run on this server any more" in end["error"]["message"]
    assert upgraded.runs()
