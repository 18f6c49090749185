"""The state in which a run that was cut off has left the hub, and how to continue."""

from __future__ import annotations

from tljh_runbook.errors import RunCutOff
from tljh_runbook.hub.backup import restore
from tljh_runbook.hub.core.layout import Hub
from tljh_runbook.hub.runs import lock, worker
from tljh_runbook.hub.runs.journal import NAMES
from tljh_runbook.hub.upgrade import state_file


def explain(hub: Hub, task: str) -> RunCutOff:
    """Return the error that says in which state a run was cut off, and what to type next."""
    where, task_name = worker.where(hub, task), NAMES[task]
    unfinished = state_file.read(hub)
    if task in {"upgrade", "rollback"} and unfinished:
        # The installer continues without this process, and no second one may start meanwhile.
        wait = "Wait until TLJH's installer has ended what it began. " if lock.held(hub) else ""
        return RunCutOff(
            f"The {task_name} was cut off while it was {unfinished.phase}. Users' servers run on"
            f"{'' if unfinished.phase == state_file.STAGING else '; the hub may be stopped'}.",
            hint=(f"{wait}Bring it to its end: tljh-runbook resume", where),
        )
    if task in {"upgrade", "rollback", "rehearse"}:
        return RunCutOff(
            f"The {task_name} was cut off before it touched the live hub. Nothing was changed.",
            hint=(f"Run it again: tljh-runbook {task}", where),
        )
    if task == "backup":
        return RunCutOff(
            "The backup was cut off before its end. It left nothing half: every snapshot that is "
            "listed is whole.",
            hint=("Run it again: tljh-runbook backup", where),
        )
    left = restore.cut_off(hub.work)
    if left:
        return RunCutOff(
            f"The restore of the snapshot {left['snapshot']} was cut off before its end. Users' "
            "servers run on; the hub may be stopped, or half restored.",
            hint=(f"Run it again, it goes on: tljh-runbook {left['typed']}", where),
        )
    return RunCutOff(
        "The restore was cut off while the hub still ran, or ran again. What had been restored "
        "is in its place.",
        hint=f"Type the same command again: what is in its place is not restored twice. {where}",
    )
