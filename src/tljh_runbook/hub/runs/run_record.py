"""How the scheduled runs went: one file for each task, on disk before anything is done.

A file without an end is that of a run which goes on, or was cut off: its lock tells which.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tljh_runbook.errors import AccessDenied, RunbookError
from tljh_runbook.hub.core import files
from tljh_runbook.hub.core.layout import Hub
from tljh_runbook.hub.runs import lock
from tljh_runbook.hub.system import timer
from tljh_runbook.hub.system.timer import Timer

FOLDER = "scheduled"
TASKS = ("backup", "verify")
MOMENT = "%Y-%m-%dT%H:%M:%SZ"
INTERRUPTED = 130
Values = dict[str, Any]
SHAPE: Mapping[str, type | tuple[type, ...]] = {
    "task": str,
    "at": str,
    "seconds": (int, float, type(None)),
    "code": (int, type(None)),
    "error": (dict, type(None)),
    "notes": list,
    "success": (dict, type(None)),
    "invocation": str,
}
"""What a record holds; ``code`` is None before its end, ``success`` is the last one, ever."""


@dataclass(frozen=True)
class Seen:
    """How one task stands: when it is due, whether it runs now, how it went."""

    task: str
    timer: Timer
    running: bool
    last: Values | None

    @property
    def cut_off(self) -> bool:
        """Whether the last run was ended before it could say how it went."""
        return self.last is not None and not self.running and self.last["code"] is None

    def to_json(self) -> dict[str, Any]:
        due = self.timer.next
        return {
            "scheduled": self.timer.active,
            "due": due.strftime(MOMENT) if due else None,
            "running": self.running,
            "last": self.last,
        }


class Record:
    """The record of a run that is at work."""

    def __init__(self, hub: Hub, task: str) -> None:
        before = read(hub, task)
        self._file = _file(hub, task)
        self._start = time.monotonic()
        self.values: Values = {
            "task": task,
            "at": now(),
            "seconds": None,
            "code": None,
            "error": None,
            "notes": [],
            "success": before["success"] if before else None,
            # Which start of its unit it is, so that `notice` knows an older record.
            "invocation": os.environ.get("INVOCATION_ID", ""),
        }

    def succeed(self, snapshot: str, size: int, user_data: int) -> None:
        """Enter what is good from now on, whatever becomes of the rest; sizes are in bytes."""
        good = {"at": now(), "snapshot": snapshot, "size": size, "user_data": user_data}
        self.values["success"] = good

    def end(self, error: BaseException | None) -> None:
        """Enter how the run ended."""
        said = told(error, str(self.values["task"]))
        self.values |= {
            "seconds": round(time.monotonic() - self._start, 1),
            "code": said["code"] if said else 0,
            "error": said,
        }

    def write(self) -> None:
        """Bring the record to the disk. Raises `OSError`."""
        files.replace(self._file, (json.dumps(self.values, indent=2) + "\n").encode())


@contextmanager
def begun(hub: Hub, task: str) -> Iterator[Record]:
    """Hold the task's own lock, which tells others that its run goes on.

    Raises `Busy` where the same task runs: its record is left alone.
    """
    with lock.hold(hub, f"the scheduled {task}", _lock(task)):
        files.make_private(hub.work / FOLDER)
        yield Record(hub, task)


def running(hub: Hub, task: str) -> bool:
    """Say whether the task's run goes on."""
    return lock.held(hub, _lock(task))


def read(hub: Hub, task: str) -> Values | None:
    """Return how the last run of a task stands; None where none is known."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        values = json.loads(files.read(_file(hub, task)))
        if all(isinstance(values[name], kind) for name, kind in SHAPE.items()):
            return {name: values[name] for name in SHAPE}
    return None


def told(error: BaseException | None, task: str) -> Values | None:
    """Return the error that ended a run as data; None where there was none."""
    match error:
        case None:
            return None
        case RunbookError():
            return dict(error.to_json())
        case PermissionError():
            said, code = f"{error.filename}: {error.strerror}.", AccessDenied.code
        case SystemExit() if isinstance(error.code, int) and error.code > 128:
            said, code = f"It was stopped from outside, by signal {error.code - 128}.", error.code
        case KeyboardInterrupt():
            said, code = "It was stopped from outside, by Ctrl-C.", INTERRUPTED
        case _:
            # Its words are for the journal alone: nobody knows what they tell, and this is sent.
            said, code = f"Unexpected: {type(error).__name__}.", 1
    hint = f"Run it again, and see what it says: tljh-runbook scheduled {task}"
    return {"message": said, "hint": hint, "code": code}


def now() -> str:
    """Return the moment, in UTC."""
    return time.strftime(MOMENT, time.gmtime())


def _file(hub: Hub, task: str) -> Path:
    return hub.work / FOLDER / f"{task}.json"


def _lock(task: str) -> str:
    return f"scheduled-{task}.lock"


def unit(task: str) -> str:
    """Return the name of the unit that runs a task, and of its timer."""
    return f"tljh-runbook-{task}"


def seen(hub: Hub, task: str, due: Timer = timer.NONE) -> Seen:
    """Return how a task stands, by its record."""
    runs = running(hub, task)  # asked first: what ends meanwhile has its end by then
    return Seen(task, due, runs, read(hub, task))
