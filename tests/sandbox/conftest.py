"""A built sandbox, shared by the tests of this folder, and a browser of the poorest kind."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from http.cookiejar import CookieJar
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from tljh_runbook.sandbox.layout import Layout, layout
from tljh_runbook.sandbox.processes import end_all

# What the tests of the hub and of the booted servers have, too.
TESTS = Path(__file__).parents[1]
sys.path[:0] = [str(TESTS / "hub"), str(TESTS / "system" / "booted")]


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run the command line; what a person would type after ``python -m``."""
    return subprocess.run(
        [sys.executable, "-m", "tljh_runbook.sandbox", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )


@dataclass(frozen=True)
class Sandbox:
    """A running sandbox, as a test sees it."""

    place: Layout

    @property
    def status(self) -> dict[str, Any]:
        done = run("status", self.place.root, "--json")
        assert done.returncode == 0, done.stderr
        report: dict[str, Any] = json.loads(done.stdout)
        return report

    def install(self, version: str, plugin: str) -> subprocess.CompletedProcess[str]:
        """Run TLJH's installer as an administrator does, with whatever environment there is."""
        path = os.pathsep.join([os.environ["PATH"], str(self.place.systemd.parent)])
        return subprocess.run(
            [sys.executable, self.place.installer, "--version", version, "--plugin", plugin],
            env={**os.environ, "PATH": path, "TLJH_INSTALL_PREFIX": str(self.place.prefix)},
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )

    def hub_version(self) -> str:
        with _get(f"{self.status['address']}/hub/api") as answer:
            return str(json.load(answer)["version"])

    def login(self, user: str) -> str:
        """Log in through the proxy with the form, XSRF token included; return the page after it."""
        report = self.status
        cookies = urllib.request.HTTPCookieProcessor(CookieJar())
        browser = urllib.request.build_opener(urllib.request.ProxyHandler({}), cookies)
        url = f"{report['address']}/hub/login?next=/hub/home"
        with browser.open(url, timeout=30) as page:
            token = re.search(r'name="_xsrf" value="([^"]+)"', page.read().decode())
        assert token
        form = {"username": user, "password": report["password"], "_xsrf": token.group(1)}
        with browser.open(url, urlencode(form).encode(), timeout=30) as page:
            return str(page.read().decode())


def _get(url: str) -> Any:
    return urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=30)


def answer_code(url: str) -> int:
    """Return the HTTP status of a page; 0 where nothing listens."""
    try:
        with _get(url) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code
    except OSError:
        return 0


@pytest.fixture(scope="package")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """One sandbox, with a name that nothing must stumble over."""
    place = layout(tmp_path_factory.mktemp("box") / "été @1 b")
    done = run("up", place.root, "--take-down", "invoke sandbox.down")
    try:
        assert done.returncode == 0, done.stderr
        yield Sandbox(place)
    finally:
        end_all(place)
