"""Recovery of an upgrade whose process was killed: systemd resumes it in the run's unit.

A process may be killed by the kernel when memory runs out, or by a person. There may be nobody to
type `resume`, and during the swap the hub is down.
"""

from __future__ import annotations

import os
import time

from tljh_runbook import program
from tljh_runbook.hub.context import Source
from tljh_runbook.hub.runs import lock, unit
from tljh_runbook.hub.system import services
from tljh_runbook.hub.upgrade import state_file

TASKS = ("upgrade", "rollback")
KILLED = {"killed", "dumped"}  # $EXIT_CODE, see systemd.exec(5)
INSTALLING = 900.0  # seconds that an installer may take to finish without us
PAUSE = 0.5  # seconds between two checks of the lock


def after(source: Source, task: str) -> list[str]:
    """Return the command that systemd runs when a task's process has exited; empty for none."""
    if task not in TASKS:
        return []
    named = ["--settings", str(source.file.absolute())] if source.file else []
    hub = str(source.hub.prefix)
    return [*program.command(), "resume", "--after-kill", "--hub", hub, *named]


def is_resumed(source: Source, task: str) -> bool:
    """Return whether systemd resumes a killed run of this task, now or soon."""
    systemd = source.settings.services == "systemd"
    return systemd and task in TASKS and unit.runs(task)


def needed(source: Source) -> bool:
    """Return whether a killed run must be resumed now; first wait until that is possible.

    If the server is shutting down, the run is resumed at the next boot instead.
    """
    if os.environ.get("EXIT_CODE") not in KILLED or state_file.read(source.hub) is None:
        return False
    if source.settings.services == "systemd" and services.shutting_down():
        return False
    deadline = time.monotonic() + INSTALLING
    while lock.held(source.hub) and time.monotonic() < deadline:
        time.sleep(PAUSE)
    return True
