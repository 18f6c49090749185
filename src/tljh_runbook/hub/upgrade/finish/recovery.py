"""The end of an upgrade whose process was killed: systemd resumes it in the unit of the run.

The kernel kills a process that uses too much memory, and a person may. Nobody may be there to type
`resume`, and during the swap the hub is stopped.
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
INSTALLING = 900.0  # seconds that an installer may take to finish what it does without us
PAUSE = 0.5  # seconds between two looks at the lock


def after(source: Source, task: str) -> list[str]:
    """Return what systemd runs when the process of a task's run has ended; empty: nothing."""
    if task not in TASKS:
        return []
    named = ["--settings", str(source.file.absolute())] if source.file else []
    hub = str(source.hub.prefix)
    return [*program.command(), "resume", "--after-kill", "--hub", hub, *named]


def is_resumed(source: Source, task: str) -> bool:
    """Say whether systemd resumes a run that was killed, or is about to."""
    systemd = source.settings.services == "systemd"
    return systemd and task in TASKS and unit.runs(task)


def needed(source: Source) -> bool:
    """Say whether a run was killed that has to be resumed now, and wait until that is possible.

    A server that shuts down resumes it when it starts again.
    """
    if os.environ.get("EXIT_CODE") not in KILLED or state_file.read(source.hub) is None:
        return False
    if source.settings.services == "systemd" and services.shutting_down():
        return False
    deadline = time.monotonic() + INSTALLING
    while lock.held(source.hub) and time.monotonic() < deadline:
        time.sleep(PAUSE)
    return True
