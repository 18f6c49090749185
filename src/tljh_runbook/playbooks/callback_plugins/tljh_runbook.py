"""Shows a playbook as an operator wants to see it: what the hub is doing, while it does it.

ansible-playbook ends with the exit code of the hub's own error, so that a script that calls it
can tell one failure from another.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
    name: tljh_runbook
    type: stdout
    short_description: shows the progress of tljh-runbook
    description: Shows tasks in one line each, and the events of an upgrade as they come.
"""
CUT_OFF = 28  # as tljh-runbook itself says it
FAILED, UNREACHABLE = 2, 4  # what ansible-playbook itself ends with


class CallbackModule(CallbackBase):  # type: ignore[misc]
    """The stdout callback of our playbooks."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "tljh_runbook"

    def __init__(self) -> None:
        super().__init__()
        self._shown: dict[str, int] = {}
        self._code = 0

    def v2_playbook_on_play_start(self, play: Any) -> None:
        self._display.display(f"Playbook: {play.get_name()}")

    def v2_runner_retry(self, result: Any) -> None:
        self._events(result)

    def v2_runner_on_ok(self, result: Any) -> None:
        self._events(result)

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        upgrade = self._events(result)
        if ignore_errors:
            return
        end = upgrade.get("end") or {}
        error = end.get("error") or {}
        if upgrade.get("events") and not end:
            end, error = {"code": CUT_OFF}, {"message": "the upgrade was cut off before its end"}
            error["hint"] = "Run the upgrade again: it goes on with what it began."
        self._code = int(end.get("code") or _whole(result._result.get("rc")) or FAILED)
        said = error.get("message") or _said(result._result)
        sys.stdout.flush()  # what was said before stays before it, in a pipe, too
        self._display.display(f"{_host(result)}: {said}", color="red", stderr=True)
        if error.get("hint"):
            self._display.display(f"hint: {error['hint']}", stderr=True)

    def v2_runner_on_unreachable(self, result: Any) -> None:
        self._code = UNREACHABLE
        self._display.display(f"{_host(result)}: {_said(result._result)}", color="red", stderr=True)

    def v2_playbook_on_stats(self, stats: Any) -> None:
        for host in sorted(stats.processed):
            summary = stats.summarize(host)
            failed = summary["failures"] or summary["unreachable"]
            changed = "changed" if summary["changed"] else "nothing changed"
            word = "failed" if failed else changed
            self._display.display(f"{host}: {word}", color="red" if failed else None)
        if self._code and len(stats.processed) == 1:
            sys.stdout.flush()
            raise SystemExit(self._code)

    def _events(self, result: Any) -> dict[str, Any]:
        """Show the events of an upgrade that were not shown yet; return how it stands."""
        upgrade = _upgrade(result._result)
        events = upgrade.get("events", [])
        host = _host(result)
        for event in events[self._shown.get(host, 0) :]:
            self._show(host, event)
        if events:
            self._shown[host] = len(events)
        return upgrade

    def _show(self, host: str, event: dict[str, Any]) -> None:
        if event["kind"] == "phase":
            self._display.display(f"{host}: {event['after']:6.1f} s  {event['text']}")
        elif event["kind"] == "line":
            if sys.stdout.isatty():
                self._display.display(f"{host}:           {event['text'][:120]}", color="dark gray")
        elif event["code"] == 0 and not event["report"]["changed"]:
            self._display.display(f"{host}: everything is as asked; nothing was restarted")


def _host(result: Any) -> str:
    return str(result._host.get_name())


def _upgrade(result: dict[str, Any]) -> dict[str, Any]:
    try:
        found = json.loads(result.get("stdout") or "{}")["upgrade"]
    except (ValueError, KeyError, TypeError):
        return {}
    return found if isinstance(found, dict) else {}


def _whole(value: Any) -> int:
    return value if isinstance(value, int) else 0


def _said(result: dict[str, Any]) -> str:
    """Return the last thing that the hub said of what went wrong."""
    lines = str(result.get("stderr") or result.get("msg") or "failed").strip().splitlines()
    return " ".join(line.strip() for line in lines)
