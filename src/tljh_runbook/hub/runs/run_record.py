"""Results of the scheduled runs: one file per task, on disk before the run does anything.

A file without an end belongs to a run that is still running or was interrupted; its lock tells
which.
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
"""The fields of a record; ``code`` is None until the run ends, ``success`` is the last one ever."""


@dataclass(frozen=True)
class Seen:
    """The status of one task: when it is due, whether it is running, how its last run went."""

    task: str
    timer: Timer
    running: bool
    last: Values | None

    @property
    def cut_off(self) -> bool:
        """Whether the last run was interrupted before it could record its result."""
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
    """The record of a run in progress."""

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
            # systemd's ID of this start of the unit, by which `notice` detects an older record.
            "invocation": os.environ.get("INVOCATION_ID", ""),
        }

    def succeed(self, snapshot: str, size: int, user_data: int) -> None:
        """Record a success, which remains valid if the run fails later; sizes are in bytes."""
        good = {"at": now(), "snapshot": snapshot, "size": size, "user_data": user_data}
        self.values["success"] = good

    def end(self, error: BaseException | None) -> None:
        """Record how the run ended."""
        said = told(error, str(self.values["task"]))
        self.values |= {
            "seconds": round(time.monotonic() - self._start, 1),
            "code": said["code"] if said else 0,
            "error": said,
        }

    def write(self) -> None:
        """Write the record to disk. Raises `OSError`."""
        files.replace(self._file, (json.dumps(self.values, indent=2) + "\n").encode())


@contextmanager
def begun(hub: Hub, task: str) -> Iterator[Record]:
    """Yield a new record while holding the task's lock, which shows others that it is running.

    Raises `Busy` if the same task is already running; its record is then left unchanged.
    """
    with lock.hold(hub, f"the scheduled {task}", _lock(task)):
        files.make_private(hub.work / FOLDER)
        yield Record(hub, task)


def running(hub: Hub, task: str) -> bool:
    """Return whether the task is running."""
    return lock.held(hub, _lock(task))


def read(hub: Hub, task: str) -> Values | None:
    """Return the record of a task's last run; None if there is no valid one."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        values = json.loads(files.read(_file(hub, task)))
        if all(isinstance(values[name], kind) for name, kind in SHAPE.items()):
            return {name: values[name] for name in SHAPE}
    return None


def told(error: BaseException | None, task: str) -> Values | None:
    """Return the error that ended a run as data; None if there was none."""
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
            # This record is sent to others. The error's text may contain anything, so it only goes
            # to the journal.
            said, code = f"Unexpected: {type(error).__name__}.", 1
    hint = f"Run it again, and see what it says: tljh-runbook scheduled {task}"
    return {"message": said, "hint": hint, "code": code}


def now() -> str:
    """Return the current time, in UTC."""
    return time.strftime(MOMENT, time.gmtime())


def _file(hub: Hub, task: str) -> Path:
    return hub.work / FOLDER / f"{task}.json"


def _lock(task: str) -> str:
    return f"scheduled-{task}.lock"


def unit(task: str) -> str:
    """Return the name of the unit that runs a task, which is also the name of its timer."""
    return f"tljh-runbook-{task}"


def seen(hub: Hub, task: str, due: Timer = timer.NONE) -> Seen:
    """Return the status of a task according to its record."""
    runs = running(hub, task)  # checked first: a run that ends in between has recorded its end
    return Seen(task, due, runs, read(hub, task))
