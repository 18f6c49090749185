"""The journal of a run: one line an event, on disk before the next thing is done.

It is how a reader elsewhere (the terminal, a playbook) sees what the hub is doing. Each task has
one, of its last run.
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
"""Every task, by the word that is typed for it, and what a run of it is called."""
TASKS = tuple(NAMES)
SELDOM = 1.0  # seconds between two lines of something that tells more than anybody reads
Event = dict[str, Any]


class Journal:
    """Writes the journal of one run; open, it says that the run goes on."""

    def __init__(self, hub: Hub, task: str, run: str = "") -> None:
        files.make_private(hub.work)
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        self._file = os.open(file(hub, task), flags, 0o600)
        # The kernel drops it when we die, however that comes: who asks is never led astray by a
        # process that has our number now.
        fcntl.flock(self._file, fcntl.LOCK_EX)
        os.ftruncate(self._file, 0)
        self._run = run
        self._start = time.monotonic()
        self._last = 0.0
        self.report: Event = {}
        """What was done, as far as it is known; it is entered with the end."""

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._file)

    @property
    def seconds(self) -> float:
        """How long ago the run began."""
        return round(time.monotonic() - self._start, 1)

    def phase(self, text: str) -> None:
        """Enter the start of a phase."""
        self._write("phase", text=text)

    def line(self, text: str) -> None:
        """Enter what is being done within a phase."""
        if text:
            self._write("line", text=text)

    def progress(self, text: str) -> None:
        """Enter how far something is; what comes too soon after the last is left out."""
        if not self._last or time.monotonic() - self._last >= SELDOM:
            self._last = time.monotonic()
            self.line(text)

    def end(self, code: int, *, error: Event | None) -> None:
        """Enter the end, with the exit code that tells how it went."""
        self._write("end", code=code, error=error, report=self.report)

    def _write(self, kind: str, **details: Any) -> None:
        moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        own = {"pid": os.getpid(), "run": self._run}
        event = {"kind": kind, "at": moment, "after": self.seconds, **own, **details}
        with suppress(OSError):  # a full disk must not stop what is being done
            os.write(self._file, (json.dumps(event) + "\n").encode())
            if kind != "line":
                os.fsync(self._file)


def file(hub: Hub, task: str) -> Path:
    """Return where the journal of a task lies."""
    return hub.work / f"{task}.jsonl"


def read(hub: Hub, task: str) -> list[Event]:
    """Return the events of the last run; a line that is being written is left out."""
    try:
        text = file(hub, task).read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return []
    return [event for line in text.splitlines(keepends=True) if (event := _event(line))]


def _event(line: str) -> Event | None:
    """Return the event of a whole line; a power cut may leave another."""
    with suppress(ValueError):
        event = json.loads(line) if line.endswith("\n") else None
        return event if isinstance(event, dict) and "kind" in event else None
    return None


def state(hub: Hub, task: str) -> Event:
    """Return how the last run stands: ``running``, its ``events``, its ``end`` if it has one.

    A run that has started, and neither runs nor has an end, was cut off.
    """
    seen = _state(hub, task)
    # It may have started between the two looks of the first: then the second shows it running.
    return _state(hub, task) if cut_off(seen) else seen


def _state(hub: Hub, task: str) -> Event:
    running = _written(hub, task)  # asked first: what ends meanwhile has written its end by then
    events = read(hub, task)
    end = events[-1] if events and events[-1]["kind"] == "end" else None
    running = running and bool(events) and end is None
    return {"task": task, "running": running, "events": events, "end": end}


def rolled_back(hub: Hub) -> str:
    """Return when the last upgrade was rolled back by hand; nothing where it was not."""
    upgrade, rollback = (state(hub, task)["end"] or {} for task in ("upgrade", "rollback"))
    # One that found the upgrade confirmed has changed nothing.
    went = rollback.get("code") == 0 and (rollback.get("report") or {}).get("changed")
    since = went and rollback["at"] > upgrade.get("at", "")
    return str(rollback["at"]) if since else ""


def cut_off(state: Event) -> bool:
    """Say whether a run was ended before its work was."""
    return bool(state["events"]) and not state["running"] and not state["end"]


def runs(hub: Hub) -> list[Event]:
    """Return in few words how the last run of each task stands."""
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
    """Say whether a process has the journal open to write it."""
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
