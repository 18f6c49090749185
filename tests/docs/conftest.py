"""One test for each documented example, and a count of them at the end."""

from __future__ import annotations

import functools
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from documented.keeper import Keeper, in_ci
from documented.pages import Site, build
from documented.server import REPOSITORY, Server, opened

CONFIG = REPOSITORY
SOURCE = REPOSITORY / "docs"
COLLECTED = pytest.StashKey[int]()
_folders: list[str] = []


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add what ./invoke docs.test hands on."""
    parser.addoption("--record", action="store_true", help="Take all evidence again.")
    parser.addoption("--accept", action="store_true", help="Let pages show what was printed.")


@functools.cache
def _site() -> Site:
    _folders.append(tempfile.mkdtemp(prefix="tljh-runbook-docs-"))
    return build(SOURCE, CONFIG, Path(_folders[-1]))


@pytest.fixture(scope="session")
def site() -> Site:
    """The pages of this project, built once."""
    return _site()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make one test of each console block, in the order of the page."""
    if "block" in metafunc.fixturenames:
        blocks = [each for each in _site().blocks() if not each.on_server]
        metafunc.parametrize(
            ("page", "block"),
            [(each.page, each) for each in blocks],
            indirect=["page"],
            ids=[each.name for each in blocks],
            scope="module",
        )


@functools.cache
def _keeper() -> Keeper:
    return Keeper(_site(), writes=not in_ci())


@pytest.fixture(scope="session")
def keeper(request: pytest.FixtureRequest) -> Iterator[Keeper]:
    """What is kept of this run."""
    made = _keeper()
    made.again = bool(request.config.getoption("--record", default=False))
    made.accepts = bool(request.config.getoption("--accept", default=False))
    yield made
    made.finish()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Count the examples before -k and -m choose among them."""
    config.stash[COLLECTED] = sum(1 for item in items if "::test_transcript[" in item.nodeid)


@pytest.fixture(scope="session")
def collected(request: pytest.FixtureRequest) -> int:
    """How many examples have become tests."""
    return request.config.stash[COLLECTED]


@pytest.fixture(scope="module")
def page(
    request: pytest.FixtureRequest, site: Site, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[], Server]]:
    """The server on which a page is carried out: made when it is first asked for, then kept."""
    name: str = request.param
    with ExitStack() as stack:

        @functools.cache
        def server() -> Server:
            sandbox = site.front_matter(name, "runbook-sandbox") != "none"
            path = site.front_matter(name, "runbook-path")
            folder = tmp_path_factory.mktemp("page")
            return stack.enter_context(opened(folder, os.environ, sandbox=sandbox, path=path))

        yield server


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many examples there are, and which were not executed."""
    if not _site.cache_info().currsize:
        return
    blocks = _site().blocks()
    reasons = Counter(each.reason for each in blocks if each.reason)
    left_out = sum(reasons.values())
    why = "".join(f"; {count} × {reason}" for reason, count in reasons.items())
    pages = len({each.page for each in blocks})
    on_server = sum(each.on_server for each in blocks)
    here = len(blocks) - left_out - on_server
    terminalreporter.write_line(
        f"documented examples on {pages} of {len(_site().pages)} pages: {len(blocks)} blocks, "
        f"{_keeper().count()} with evidence; {here} to be carried out here, "
        f"{_executed(terminalreporter)} executed; {on_server} on a booted server, by "
        f"./invoke test.system; {left_out} left out{why}"
    )


def _executed(reporter: pytest.TerminalReporter) -> int:
    done = [*reporter.stats.get("passed", []), *reporter.stats.get("failed", [])]
    return sum(1 for each in done if "::test_transcript[" in each.nodeid and each.when == "call")


def pytest_unconfigure() -> None:
    """Remove what the build has written."""
    for folder in _folders:
        shutil.rmtree(folder, ignore_errors=True)
