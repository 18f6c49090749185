"""The journal of a run: one line per event, on disk before the run continues.

Other processes (the terminal, a playbook) follow the run through it. Each task has one journal, for
its last run.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from tljh_runbook.hub.core import files
from tljh_runbook.hub.core.layout import Hub

NAMES = {
    "backup": "backup",
    "rehearse": "rehearsal",
    "upgrade": "upgrade",
    "rollback": "rollback",
    "restore": "restore",
}
"""Every task: the subcommand that starts it, and what a run of it is called."""
TASKS = tuple(NAMES)
SELDOM = 1.0  # seconds between two progress lines, so that they do not flood the journal
Event = dict[str, Any]


class Journal:
    """Writer of a run's journal; while it is open, the run counts as running."""

    def __init__(self, hub: Hub, task: str, run: str = "") -> None:
        files.make_private(hub.work)
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        self._file = os.open(file(hub, task), flags, 0o600)
        # The kernel releases the lock when this process dies, however that happens, so a reader is
        # never misled by another process that got the same PID.
        fcntl.flock(self._file, fcntl.LOCK_EX)
        os.ftruncate(self._file, 0)
        self._run = run
        self._start = time.monotonic()
        self._last = 0.0
        self.report: Event = {}
        """What was done so far; it is written with the end event."""

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._file)

    @property
    def seconds(self) -> float:
        """How long ago the run started."""
        return round(time.monotonic() - self._start, 1)

    def phase(self, text: str) -> None:
        """Record the start of a phase."""
        self._write("phase", text=text)

    def line(self, text: str) -> None:
        """Record what is being done within a phase."""
        if text:
            self._write("line", text=text)

    def progress(self, text: str) -> None:
        """Record progress, unless the last progress line is less than `SELDOM` seconds old."""
        if not self._last or time.monotonic() - self._last >= SELDOM:
            self._last = time.monotonic()
            self.line(text)

    def end(self, code: int, *, error: Event | None) -> None:
        """Record the end of the run, with its exit code."""
        self._write("end", code=code, error=error, report=self.report)

    def _write(self, kind: str, **details: Any) -> None:
        moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        own = {"pid": os.getpid(), "run": self._run}
        event = {"kind": kind, "at": moment, "after": self.seconds, **own, **details}
        with suppress(OSError):  # a full disk must not stop the run
            os.write(self._file, (json.dumps(event) + "\n").encode())
            if kind != "line":
                os.fsync(self._file)


def file(hub: Hub, task: str) -> Path:
    """Return the path of a task's journal."""
    return hub.work / f"{task}.jsonl"


def read(hub: Hub, task: str) -> list[Event]:
    """Return the events of the last run, without a line that is still being written."""
    try:
        text = file(hub, task).read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return []
    return [event for line in text.splitlines(keepends=True) if (event := _event(line))]


def _event(line: str) -> Event | None:
    """Return the event of a complete line; a power cut may leave a broken one."""
    with suppress(ValueError):
        event = json.loads(line) if line.endswith("\n") else None
        return event if isinstance(event, dict) and "kind" in event else None
    return None


def state(hub: Hub, task: str) -> Event:
    """Return the state of the last run: ``running``, its ``events``, its ``end`` if it has one.

    A run that has started, but is neither running nor has an end, was interrupted.
    """
    seen = _state(hub, task)
    # A run may start between the two checks in `_state`; then a second call shows it running.
    return _state(hub, task) if cut_off(seen) else seen


def _state(hub: Hub, task: str) -> Event:
    running = _written(hub, task)  # checked first: a run that ends in between has written its end
    events = read(hub, task)
    end = events[-1] if events and events[-1]["kind"] == "end" else None
    running = running and bool(events) and end is None
    return {"task": task, "running": running, "events": events, "end": end}


def rolled_back(hub: Hub) -> str:
    """Return when the last upgrade was rolled back manually; '' if it was not."""
    upgrade, rollback = (state(hub, task)["end"] or {} for task in ("upgrade", "rollback"))
    # A rollback that finds the upgrade already confirmed changes nothing.
    went = rollback.get("code") == 0 and (rollback.get("report") or {}).get("changed")
    since = went and rollback["at"] > upgrade.get("at", "")
    return str(rollback["at"]) if since else ""


def cut_off(state: Event) -> bool:
    """Return whether a run was interrupted before it finished."""
    return bool(state["events"]) and not state["running"] and not state["end"]


def runs(hub: Hub) -> list[Event]:
    """Return a summary of the last run of each task."""
    return [_short(found) for task in TASKS if (found := state(hub, task))["events"]]


def _short(found: Event) -> Event:
    phases = [each["text"] for each in found["events"] if each["kind"] == "phase"]
    return {
        "task": found["task"],
        "running": found["running"],
        "cut_off": cut_off(found),
        "at": found["events"][0]["at"],
        "phase": phases[-1] if phases else "",
        "code": found["end"]["code"] if found["end"] else None,
    }


def _written(hub: Hub, task: str) -> bool:
    """Return whether a process has the journal open for writing."""
    try:
        descriptor = os.open(file(hub, task), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
