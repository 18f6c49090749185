"""The time in which a person confirms an upgrade; else it is rolled back automatically.

It is on the disk, so that a reboot forgets nothing, and holds only as long as the previous version
is kept. Whoever confirms, and whoever goes back, holds a lock for that moment: it is one of them.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta, timezone

from tljh_runbook import program
from tljh_runbook.errors import Busy, NothingToConfirm, NothingToRollBack, ServicesUnreachable
from tljh_runbook.hub.context import Source
from tljh_runbook.hub.core import copies, files
from tljh_runbook.hub.core.layout import Hub
from tljh_runbook.hub.runs import journal, lock, unit
from tljh_runbook.hub.upgrade import state_file
from tljh_runbook.hub.upgrade.state_file import Mark
from tljh_runbook.hub.upgrade.swap import previous

NAME = "confirm.json"
LOCK = "confirm.lock"
MOMENT = "%Y-%m-%dT%H:%M:%SZ"
PAUSE = 5.0  # seconds between two looks of whoever waits
REMOVING = 60.0  # seconds: whoever confirms may be about to remove the previous version
AGAIN = 60.0  # seconds until it is tried again, where another run works on the hub


@dataclass(frozen=True)
class Deadline:
    """Until when, in UTC, the upgrade that began ``at`` must be confirmed."""

    at: str
    until: str

    @property
    def seconds(self) -> float:
        """How long it still is; negative once it is over."""
        until = datetime.strptime(self.until, MOMENT).replace(tzinfo=timezone.utc)
        return (until - datetime.now(timezone.utc)).total_seconds()


def ask(source: Source, ended: Mark) -> None:
    """Begin the time in which an upgrade must be confirmed, where that was asked for.

    Raises what `watch` raises; it may be called again then.
    """
    if ended.way is None or not ended.way["environments"]:
        return  # only settings were set: the previous version is the same as it was
    if ended.confirm_within:
        end = datetime.now(timezone.utc) + timedelta(minutes=ended.confirm_within)
        asked = Deadline(ended.at, end.strftime(MOMENT))
        files.replace(source.hub.work / NAME, json.dumps(asdict(asked)).encode())
        try:
            watch(source)
        except ServicesUnreachable as error:
            raise ServicesUnreachable(
                f"The new version runs, but nothing waits for it to be confirmed: {error.message}",
                hint="Bring the upgrade to its end: tljh-runbook resume",
            ) from error
    else:
        forget(source.hub)  # of an upgrade that can be rolled back no more


def forget(hub: Hub) -> None:
    """Ask for no confirmation any more."""
    with suppress(FileNotFoundError):
        (hub.work / NAME).unlink()
        files.sync_folder(hub.work)


def read(hub: Hub) -> Deadline | None:
    """Return the time that runs; None where nothing is to be confirmed."""
    with suppress(OSError, ValueError, TypeError, NothingToRollBack):
        found = Deadline(**json.loads(files.read(hub.work / NAME)))
        return found if previous.read(hub).at == found.at else None
    return None


def until(hub: Hub) -> str:
    """Return until when the last upgrade must be confirmed; nothing where it need not."""
    waits = read(hub)
    return waits.until if waits else ""


def confirm(source: Source) -> Deadline:
    """Let the upgrade stay. Raises `NothingToConfirm`."""
    hub = source.hub
    try:
        with lock.hold(hub, "the confirmation", LOCK):
            found, begun = read(hub), state_file.read(hub)
            if begun and begun.phase == state_file.BACK:
                raise _going_back()
            if found is None:
                raise _nothing(hub)
            forget(hub)
            if not source.settings.upgrade.keep_previous:
                copies.remove(hub.previous)
    except Busy as error:
        if _ends(hub):
            raise  # a later upgrade does, and is quick
        raise _going_back() from error
    return found


def _ends(hub: Hub) -> bool:
    now = state_file.read(hub)
    return now is not None and now.phase == state_file.PROVING


@contextmanager
def closed(hub: Hub, what: str) -> Iterator[Deadline | None]:
    """Hold back who confirms while ``what`` is done; None where nothing waits to be confirmed."""
    with lock.hold(hub, what, LOCK, REMOVING):
        yield read(hub)


def watch(source: Source) -> None:
    """See that the upgrade is rolled back when its time is over, whatever becomes of this process.

    Under systemd it is a timer; elsewhere a process that waits, which a reboot ends. Raises
    `ServicesUnreachable`.
    """
    found = read(source.hub)
    if found is None:
        return
    command = [*program.command(), *words(source, found.at)]
    if source.settings.services == "systemd":
        unit.start_at(f"confirm-{found.at}", command, found.until, passed=found.seconds <= 0)
        return
    with (source.hub.work / "confirm.log").open("a") as output:
        subprocess.Popen(
            command,
            env=os.environ | {"TLJH_INSTALL_PREFIX": str(source.hub.prefix)},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )


def words(source: Source, at: str) -> list[str]:
    """Return what is typed to take an upgrade back unless it is confirmed."""
    named = ["--settings", str(source.file.absolute())] if source.file else []
    return ["rollback", "--unless-confirmed", at, "--hub", str(source.hub.prefix), *named]


def stand_by(source: Source, at: str, go_back: Callable[[], None]) -> None:
    """Wait until the time of an upgrade is over, then begin to go back; return when it has ended.

    ``go_back`` only begins it, and it may fail: as long as the upgrade stands it is tried again.
    """
    tried = -AGAIN
    while (left := read(source.hub)) and left.at == at:
        pause = max(left.seconds, tried + AGAIN - time.monotonic())
        if pause > 0:
            time.sleep(min(PAUSE, pause))
            continue
        tried = time.monotonic()
        with suppress(Busy):
            go_back()


def _going_back() -> NothingToConfirm:
    return NothingToConfirm(
        "The upgrade is being rolled back just now, so it cannot be confirmed any more.",
        hint="See how it goes: tljh-runbook progress rollback",
    )


def _nothing(hub: Hub) -> NothingToConfirm:
    back = journal.rolled_back(hub)
    if back:
        return NothingToConfirm(
            f"The upgrade was rolled back at {back}, so there is nothing to confirm. "
            "The hub runs the previous version.",
            hint=(
                "See why: tljh-runbook progress rollback",
                "To upgrade again: tljh-runbook upgrade",
            ),
        )
    return NothingToConfirm(
        "No upgrade waits to be confirmed. Nothing was changed.",
        hint="Whether one does is shown by: tljh-runbook status",
    )
