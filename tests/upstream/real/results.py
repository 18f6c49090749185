"""What a run of these tests found, stored as data: docs/measured/upstream.json is one."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from downtime import Downtime

if TYPE_CHECKING:
    from world import World

WIDTH = 300  # characters of a reason that are stored


class Recorder:
    """Collects the results of a run; writes them where ``file`` says, or prints them."""

    def __init__(self, file: Path | None) -> None:
        self.file = file
        self.facts: dict[str, Any] = {}
        self.tests: dict[str, list[dict[str, str]]] = {}
        self.downtime: dict[str, list[Downtime]] = {}
        self._titles: dict[str, str] = {}
        self._says: dict[str, str] = {}

    def ran_on(self, world: World) -> None:
        """Note the sources and what was not real."""
        repositories = (world.tljh, world.plasma)
        self.facts = {
            "sources": {each.source.upstream: each.commit("HEAD") for each in repositories},
            "not_real": world.not_real(),
        }

    def add(self, story: str, downtime: Downtime) -> None:
        """Note what one action cost."""
        self.downtime.setdefault(story, []).append(downtime)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Know what each test and each file says of itself."""
        for item in session.items:
            if isinstance(item, pytest.Function):
                self._says[item.nodeid] = _says(item)
                self._titles[item.path.name] = (item.module.__doc__ or "").strip().split("\n")[0]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note how a test ended, and why it did not pass."""
        if report.when != "call" and report.passed:
            return
        if report.when == "teardown":
            return
        path = Path(report.nodeid.split("::")[0]).name
        self.tests.setdefault(path, []).append(
            {
                "name": report.nodeid.split("::")[-1],
                "says": self._says[report.nodeid].split("\n")[0],
                "outcome": report.outcome,
                "why": _reason(report),
            }
        )
        self.write()

    def write(self) -> None:
        """Write the record after each test: a run may be ended. Other stories of the file stay."""
        if not self.file or not self.facts:
            return
        found = json.loads(self.file.read_text(encoding="utf-8")) if self.file.exists() else {}
        stories = found.get("stories", {})
        for path, tests in self.tests.items():
            stories[path] = {
                "title": self._titles[path],
                "date": time.strftime("%Y-%m-%d", time.gmtime()),
                "tests": tests,
                "downtime": [each.to_json() for each in self.downtime.get(path, [])],
                **self.facts,
            }
        text = json.dumps({"stories": dict(sorted(stories.items()))}, indent=2, ensure_ascii=False)
        self.file.write_text(text + "\n", encoding="utf-8")


def _says(item: pytest.Function) -> str:
    """Return what a test says of itself, after the name of its hub where a file has several."""
    says = (item.function.__doc__ or item.name).strip()
    hubs = [name for name in vars(item.module) if name.startswith("Test")]
    return f"{item.cls.__doc__} {says}" if item.cls and len(hubs) > 1 else says


def _reason(report: pytest.TestReport) -> str:
    """Return in one line why a test did not pass."""
    if report.passed:
        return ""
    if isinstance(report.longrepr, tuple):  # skipped: file, line and reason
        return report.longrepr[2]
    crash = getattr(report.longrepr, "reprcrash", None)
    text = str(getattr(crash, "message", None) or report.longreprtext)
    line = " ".join(text.split())
    # What was run stands at the beginning, and what came of it at the end.
    return line if len(line) <= WIDTH else f"{line[: WIDTH // 4]} … {line[-WIDTH * 3 // 4 :]}"
