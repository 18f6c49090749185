"""A run's own process: closing the terminal must not leave a hub in an intermediate state."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tljh_runbook.errors import RunbookError, RunCutOff
from tljh_runbook.hub.context import Source
from tljh_runbook.hub.core import disk, files
from tljh_runbook.hub.core.layout import Hub
from tljh_runbook.hub.runs import journal, lock, unit
from tljh_runbook.hub.runs.journal import NAMES, Event, Journal

NOTES = 1 << 16  # bytes that a run may write to its journal and log
PAUSE = 0.2  # seconds between two reads of the journal
Work = Callable[[Journal], None]
"""The work of a run, which writes its progress and its report to the journal."""
Explain = Callable[[Hub, str], RunCutOff]
"""Describes the state in which an interrupted run of a task left the hub, and what to type."""


def cut_off(hub: Hub, task: str) -> RunCutOff:
    """Return the default error for a run that ended without an end in its journal."""
    return RunCutOff(f"The {NAMES[task]} was cut off before its end.", hint=where(hub, task))


def start(  # noqa: PLR0913 - what a run is, and what is known of it elsewhere
    source: Source,
    task: str,
    program: Sequence[str],
    words: Sequence[str] = (),
    *,
    after: Sequence[str] = (),
    explain: Explain = cut_off,
) -> None:
    """Start ``program`` detached from this terminal; return when it has started its journal.

    It gets ``--worker`` and the run's ID after the first of its ``words``, the subcommand. If
    systemd starts it, systemd runs the command ``after`` when its process has ended. Raises `Busy`
    if another run is working on the hub, what ``explain`` returns if it ends immediately, and what
    `unit.start` raises.
    """
    hub, run = source.hub, secrets.token_hex(4)
    with lock.hold(hub, f"the {NAMES[task]}"):
        pass
    command = [*program, *words[:1], "--worker", run, *words[1:]]
    alive = _started(source, task, command, after)
    while not _begun(hub, task, run):
        if not alive() and not _begun(hub, task, run):
            with lock.hold(hub, f"the {NAMES[task]}"):  # another run may have started in between
                raise explain(hub, task)
        time.sleep(PAUSE / 2)


def record(hub: Hub, task: str, work: Work, run: str = "") -> None:
    """Do ``work`` while holding the hub's lock, and record how it ends in the journal.

    If this process is killed or interrupted, the journal has no end, and its readers can see that.
    Raises `Busy`, and what the work raises.
    """
    with _recorded(hub, task, run) as log:
        log.phase("Begin")
        try:
            work(log)
        except RunbookError as error:
            log.end(error.code, error=error.to_json())
            raise
        except Exception as error:
            hint = where(hub, task)
            log.end(1, error={"message": f"Unexpected: {error!r}", "hint": hint, "code": 1})
            raise
        log.end(0, error=None)


def run(hub: Hub, task: str, work: Work, run: str) -> int:
    """Do ``work`` in the process that `start` has started; return its exit code."""
    if task in {"upgrade", "rollback", "rehearse"}:  # `resume` rolls back what it must
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        record(hub, task, work, run)
    except RunbookError as error:
        return error.code
    except Exception:
        traceback.print_exc()
        raise
    return 0


def follow(
    hub: Hub,
    task: str,
    each: Callable[[Event], None],
    is_resumed: Callable[[], bool] = lambda: False,
    *,
    explain: Explain = cut_off,
) -> Event:
    """Call ``each`` for every event as it is recorded; return the last one.

    A run that was killed is still followed while ``is_resumed`` says that it will continue. Raises
    what ``explain`` returns if the run ends without an end event.
    """
    seen: list[Event] = []
    while True:
        now = journal.state(hub, task)
        known = len(seen) if now["events"][: len(seen)] == seen else 0
        for event in now["events"][known:]:
            each(event)
        seen = now["events"]
        if now["end"]:
            end: Event = now["end"]
            return end
        if not (now["running"] or is_resumed()):
            raise explain(hub, task)
        time.sleep(PAUSE)


def log_file(hub: Hub, task: str) -> Path:
    """Return the file for the output of a run's process that does not belong in its journal."""
    return hub.work / f"{task}.log"


@contextmanager
def _recorded(hub: Hub, task: str, run: str) -> Iterator[Journal]:
    with ExitStack() as stack:
        with files.disk_errors(hub.work, "Nothing was changed."):
            stack.enter_context(lock.hold(hub, f"the {NAMES[task]}"))
            log = stack.enter_context(Journal(hub, task, run))
        yield log


def _started(
    source: Source, task: str, command: list[str], after: Sequence[str]
) -> Callable[[], bool]:
    """Start a run's process; return a function that says whether it is alive."""
    log, apart = log_file(source.hub, task), source.settings.services == "systemd"
    if apart:
        unit.make_way(task)
    with files.disk_errors(source.hub.work, "Nothing was changed."):
        log.unlink(missing_ok=True)
        files.write_new(log, b"")
    if disk.free(source.hub.work) < NOTES:  # otherwise it would end without a message
        raise disk.full("Nothing was changed.", source.hub.work)
    if apart:
        unit.start(source.hub, task, command, log, after)
        return lambda: unit.runs(task)
    with log.open("a") as output:
        process = subprocess.Popen(
            command,
            # Lets ps(1) show which hub the process belongs to.
            env=os.environ | {"TLJH_INSTALL_PREFIX": str(source.hub.prefix)},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    return lambda: process.poll() is None


def _begun(hub: Hub, task: str, run: str) -> bool:
    return any(event["run"] == run for event in journal.read(hub, task))


def where(hub: Hub, task: str) -> str:
    """Return a message that says where the output of a run's process is."""
    return f"What it wrote: {log_file(hub, task)}"
