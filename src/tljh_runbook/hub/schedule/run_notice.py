"""The message about an upgrade that changed something, was rolled back or awaits confirmation.

A timer may run upgrades at night; the address in the settings is notified of the result.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tljh_runbook import hints
from tljh_runbook.errors import RunbookError
from tljh_runbook.hub.context import Source
from tljh_runbook.hub.core import files
from tljh_runbook.hub.runs import journal
from tljh_runbook.hub.system import hub_log

TASKS = ("upgrade", "rollback")
LARGEST = 2 << 20  # maximum size of an attached report in bytes


@dataclass(frozen=True)
class Message:
    """A notification: its lines, the first of which is the subject, and attachments by name."""

    lines: list[str]
    attached: dict[str, bytes] = field(default_factory=dict)


def message(source: Source, task: str) -> Message | None:
    """Return the message about the last run of ``task``; None if nothing happened."""
    end = journal.state(source.hub, task)["end"]
    if task not in TASKS or not end:
        return None
    report, error = end["report"] or {}, end["error"]
    if not error and not report.get("changed"):
        return None
    attached = dict(_page(report))
    if error or report.get("why"):
        attached["hub.log"] = hub_log.tail(source.services).encode()
    lines = [_subject(source, task, report, error), *_details(report, error)]
    return Message(lines, attached)


def _subject(source: Source, task: str, report: dict[str, Any], error: Any) -> str:
    hub = f"the hub {source.hub.prefix} on {socket.gethostname()}"
    if error:
        return f"The {journal.NAMES[task]} of {hub} ended with an error."
    if report.get("why"):
        return f"The last upgrade of {hub} was rolled back automatically."
    if task == "rollback":
        return f"The last upgrade of {hub} was rolled back."
    if report.get("confirm_until"):
        return f"The upgrade of {hub} waits for your confirmation."
    return f"Upgraded {hub}."


def _details(report: dict[str, Any], error: Any) -> Iterator[str]:
    if error:
        yield error["message"]
        yield from hints.lines(f"What to do: {error['hint']}")
    if report.get("why"):
        yield report["why"]
    for name, before, after in report.get("changes", []):
        yield f"{name}: {before} → {after}"
    for verdict in report.get("verdicts", []):
        yield f"{verdict['guarantee']}: {verdict['word']}, {verdict['measured']}"
    if until := report.get("confirm_until"):
        yield f"Without your confirmation it is rolled back at {until}: tljh-runbook confirm"


def _page(report: dict[str, Any]) -> Iterator[tuple[str, bytes]]:
    """Yield the HTML report as an attachment, if it exists and is not too large."""
    page = Path(report["page"]) if report.get("page") else None
    try:
        if page and page.stat().st_size <= LARGEST:
            yield page.name, files.read(page)
    except (OSError, RunbookError):
        return
