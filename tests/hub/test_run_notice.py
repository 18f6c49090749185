"""Who is named in the settings learns how an upgrade ended."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import hub_folder
import pytest

from tljh_runbook.hub.context import Source
from tljh_runbook.hub.runs.journal import Journal
from tljh_runbook.hub.schedule import run_notice
from tljh_runbook.hub.schedule.run_notice import Message

CHANGES = [["JupyterHub", "4.1.6", "5.5.4"]]
ERROR = {"message": "The upgrade was rolled back.", "hint": "Correct the cause.", "code": 54}


def ended(source: Source, task: str, report: dict[str, Any], error: Any = None) -> Message | None:
    with Journal(source.hub, task) as log:
        log.phase("Begin")
        log.report = report
        log.end(error["code"] if error else 0, error=error)
    return run_notice.message(source, task)


@pytest.mark.parametrize(
    ("task", "report", "error", "subject"),
    [
        ("upgrade", {"changed": True, "changes": CHANGES}, None, "Upgraded the hub"),
        ("upgrade", {"changed": True, "confirm_until": "2026-01-15"}, None, "your confirmation"),
        ("upgrade", {}, ERROR, "The upgrade of the hub"),
        ("rollback", {"changed": True, "why": "Nobody has."}, None, "rolled back automatically"),
        ("rollback", {"changed": True}, None, "was rolled back."),
    ],
)
def test_what_changed_or_failed_is_told(
    source: Source, task: str, report: dict[str, Any], error: Any, subject: str
) -> None:
    message = ended(source, task, report, error)
    assert message
    assert subject in message.lines[0]
    assert str(source.hub.prefix) in message.lines[0]
    for row in report.get("changes", []):
        assert "JupyterHub: 4.1.6 → 5.5.4" in message.lines, row
    if error:
        assert error["message"] in message.lines
        assert f"What to do: {error['hint']}" in message.lines


@pytest.mark.parametrize("task", ["upgrade", "rollback"])
def test_where_nothing_changed_nothing_is_told(source: Source, task: str) -> None:
    assert ended(source, task, {"changed": False}) is None


def test_a_backup_tells_nobody_here(source: Source) -> None:
    assert ended(source, "backup", {"changed": True}) is None


def test_a_run_without_an_end_tells_nothing(source: Source) -> None:
    with Journal(source.hub, "upgrade") as log:
        log.phase("Begin")
    assert run_notice.message(source, "upgrade") is None


def test_the_report_goes_with_it(source: Source, tmp_path: Path) -> None:
    page = tmp_path / "upgrade-20260115T220000Z.html"
    page.write_text("<p>Upgraded</p>")
    message = ended(source, "upgrade", {"changed": True, "page": str(page)})
    assert message
    assert message.attached == {page.name: b"<p>Upgraded</p>"}
    page.unlink()
    message = ended(source, "upgrade", {"changed": True, "page": str(page)})
    assert message
    assert message.attached == {}


def test_the_log_of_a_hub_that_failed_goes_with_it(source: Source) -> None:
    log = source.hub.root / "var" / "log" / "jupyterhub.log"
    hub_folder.keep(log, "old\n" * 200 + "ImportError: no plugin\n", 0o600)
    message = ended(source, "upgrade", {}, ERROR)
    assert message
    assert message.attached["hub.log"] == b"old\n" * 99 + b"ImportError: no plugin\n"
