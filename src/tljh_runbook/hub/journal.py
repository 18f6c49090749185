"""The journal of an upgrade: one line an event, on disk before the next thing is done.

It is how a reader elsewhere (the terminal, a playbook) sees what the hub is doing.
"""

from __future__ import annotations

import json
import os
import time
from contextlib import suppress
from typing import Any

from tljh_runbook.hub import files, lock, processes
from tljh_runbook.hub.layout import Hub

NAME = "upgrade.jsonl"
Event = dict[str, Any]


class Journal:
    """Writes the journal of one upgrade."""

    def __init__(self, hub: Hub) -> None:
        files.make_private(hub.work)
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        self._file = os.open(hub.work / NAME, flags, 0o600)
        self._start = time.monotonic()

    def phase(self, text: str) -> None:
        """Enter the start of a phase."""
        self._write("phase", text=text)

    def line(self, text: str) -> None:
        """Enter what is being done within a phase."""
        if text:
            self._write("line", text=text)

    def end(self, code: int, **details: Any) -> None:
        """Enter the end, with the exit code that tells how it went."""
        self._write("end", code=code, **details)

    def _write(self, kind: str, **details: Any) -> None:
        after = round(time.monotonic() - self._start, 1)
        moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        event = {"kind": kind, "at": moment, "after": after, "pid": os.getpid(), **details}
        with suppress(OSError):  # a full disk must not stop what is being done
            os.write(self._file, (json.dumps(event) + "\n").encode())
            if kind != "line":
                os.fsync(self._file)


def read(hub: Hub) -> list[Event]:
    """Return the events of the last upgrade; a line that is being written is left out."""
    try:
        text = (hub.work / NAME).read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return []
    return [event for line in text.splitlines(keepends=True) if (event := _event(line))]


def _event(line: str) -> Event | None:
    """Return the event of a whole line; a power cut may leave another."""
    with suppress(ValueError):
        event = json.loads(line) if line.endswith("\n") else None
        return event if isinstance(event, dict) and "kind" in event else None
    return None


def state(hub: Hub) -> Event:
    """Return how the last upgrade stands: ``running``, its ``events``, its ``end`` if it has one.

    An upgrade that neither runs nor has an end was cut off.
    """
    running = lock.held(hub)  # asked first: what ends meanwhile has written its end by then
    events = read(hub)
    end = events[-1] if events and events[-1]["kind"] == "end" else None
    # Another run may hold the lock, a backup for example.
    alive = bool(events) and processes.started(events[0]["pid"]) is not None
    return {"running": running and alive and end is None, "events": events, "end": end}
