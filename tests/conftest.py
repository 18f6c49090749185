"""Fixtures for all tests, and how workers share the tests among them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

# How long an example takes says what else the machine does: only benchmarks measure time.
settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")
# Helpers lie beside the tests of the hub half.
sys.path.insert(0, str(Path(__file__).with_name("hub")))

pytest_plugins = ["docker_fixtures", "hub_fixtures"]
NIGHTLY = pytest.StashKey[int]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let more upgrades be killed than the few of every day."""
    parser.addoption("--kills", type=int, default=3, help="how many upgrades are killed by chance")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give each killed upgrade its own number, from which its moment is drawn."""
    if "kill" in metafunc.fixturenames:
        metafunc.parametrize("kill", range(metafunc.config.getoption("--kills")))


@pytest.hookimpl(tryfirst=True)  # xdist reads the groups in its own
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep together what shares a hub; begin with what takes long, so that nobody waits for it.

    Within a part the order stays: some files tell a story.
    """
    for item in items:
        item.add_marker(pytest.mark.xdist_group(_part(item)))
    items.sort(key=lambda item: item.get_closest_marker("long") is None)


def _part(item: pytest.Item) -> str:
    """Return the page of an example, the sandbox or site that a folder shares, or the file."""
    if "block" in getattr(item, "fixturenames", ()):
        return f"page {item.callspec.params['page']}"  # type: ignore[attr-defined]
    if "sandbox" in getattr(item, "fixturenames", ()):
        return f"sandbox of {item.path.parent.name}"
    if "site" in getattr(item, "fixturenames", ()):
        return f"site of {item.path.parent.name}"
    return item.path.name


def pytest_deselected(items: list[pytest.Item]) -> None:
    """Count the tests that are left to the night."""
    for item in items:
        if item.get_closest_marker("nightly"):
            item.config.stash[NIGHTLY] = item.config.stash.get(NIGHTLY, 0) + 1


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Send the count from a worker of xdist, which prints nothing itself."""
    if (output := getattr(session.config, "workeroutput", None)) is not None:
        output["nightly"] = session.config.stash.get(NIGHTLY, 0)


@pytest.hookimpl(optionalhook=True)  # of xdist
def pytest_testnodedown(node: Any) -> None:
    """Receive the count; every worker collects, and so counts, all tests."""
    node.config.stash[NIGHTLY] = getattr(node, "workeroutput", {}).get("nightly", 0)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many tests are left out; xdist hides what its workers deselect."""
    if count := terminalreporter.config.stash.get(NIGHTLY, 0):
        terminalreporter.write_line(f"{count} deselected (nightly): ./invoke test.nightly")
