"""The upgrade's own process: a terminal that closes must not leave a hub half upgraded."""

from __future__ import annotations

import os
import signal
import subprocess
import time
import traceback
from collections.abc import Callable
from typing import Any

from tljh_runbook.errors import RunbookError, UpgradeCutOff
from tljh_runbook.hub import journal, lock, upgrade
from tljh_runbook.hub.journal import Event, Journal
from tljh_runbook.hub.layout import Hub
from tljh_runbook.hub.source import Source

LOG = "worker.log"
PAUSE = 0.2  # seconds between two looks into the journal


def start(hub: Hub, command: list[str]) -> None:
    """Start ``command`` apart from this terminal; return when it has begun its journal.

    Raises `Busy` when another run works on the hub, `UpgradeCutOff` when it ends at once.
    """
    with lock.hold(hub, "the upgrade"):
        pass
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
    with os.fdopen(os.open(hub.work / LOG, flags, 0o600), "w") as log:
        process = subprocess.Popen(
            command,
            env=os.environ | {"TLJH_INSTALL_PREFIX": str(hub.prefix)},  # whose it is, for ps(1)
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    while not _begun(hub, process.pid):
        if process.poll() is not None and not _begun(hub, process.pid):
            with lock.hold(hub, "the upgrade"):  # another one may have begun in between
                raise _cut_off(hub)
        time.sleep(PAUSE / 4)


def run(source: Source) -> int:
    """Upgrade with a journal; return the exit code that the journal ends with."""
    # A kill is no error to be told but an end without one; whoever reads the journal sees that.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    with lock.hold(source.hub, "the upgrade"):
        log = Journal(source.hub)
        log.phase("Begin")
        report: dict[str, Any] = {}
        try:
            done = upgrade.run(source, log)
            report = done.to_json()
            upgrade.require_kept(done.verdicts)
        except RunbookError as error:
            log.end(error.code, report=report, error=error.to_json())
            return error.code
        except BaseException as error:
            traceback.print_exc()
            message = {"message": f"Unexpected: {error!r}", "hint": _where(source.hub), "code": 1}
            log.end(1, report=report, error=message)
            raise
        log.end(0, report=report, error=None)
        return 0


def follow(hub: Hub, each: Callable[[Event], None]) -> Event:
    """Call ``each`` for every event as it comes; return the last one.

    Raises `UpgradeCutOff` when the upgrade ends without one.
    """
    seen = 0
    while True:
        now = journal.state(hub)
        for event in now["events"][seen:]:
            each(event)
        seen = len(now["events"])
        if now["end"]:
            end: Event = now["end"]
            return end
        if not now["running"]:
            raise _cut_off(hub)
        time.sleep(PAUSE)


def _begun(hub: Hub, pid: int) -> bool:
    return any(event["pid"] == pid for event in journal.read(hub))


def _cut_off(hub: Hub) -> UpgradeCutOff:
    return UpgradeCutOff(
        "The upgrade was cut off before its end. Users' servers run on; the hub may be half "
        "upgraded.",
        hint=f"Run the upgrade again: it begins where it can. {_where(hub)}",
    )


def _where(hub: Hub) -> str:
    return f"What it wrote: {hub.work / LOG}"
