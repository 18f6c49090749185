"""The built site on this machine, as it stands on the web, and one browser that reads it."""

from __future__ import annotations

import http.server
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from .browsing import ARGUMENTS, MADE, ROOT, SOURCES, Handler, Site


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The site, built once and served."""
    folder = tmp_path_factory.mktemp("site")
    options = ("-q", "-b", "html", "-n", "-W", "--keep-going", "-c", ".", "docs")
    command = [sys.executable, "-m", "sphinx", *options, str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler.of(folder))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield Site(folder, f"http://127.0.0.1:{server.server_port}")
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """The distribution's Chromium."""
    found = shutil.which("chromium")
    if found is None:
        pytest.skip("There is no Chromium on this machine: apt-get install chromium")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=found, args=ARGUMENTS)
        yield chromium
        chromium.close()


@pytest.fixture
def tab(browser: Browser) -> Iterator[Page]:
    """A new window, with nothing remembered from another test."""
    context = browser.new_context(permissions=["clipboard-read", "clipboard-write"])
    yield context.new_page()
    context.close()


@pytest.fixture
def plain(browser: Browser) -> Iterator[Page]:
    """A new window in which no script runs."""
    context = browser.new_context(java_script_enabled=False)
    yield context.new_page()
    context.close()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make one test of each page that has a source, and of those that Sphinx makes itself."""
    if "name" in metafunc.fixturenames:
        metafunc.parametrize("name", [*SOURCES, *MADE])
