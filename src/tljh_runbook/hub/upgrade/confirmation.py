"""The deadline for confirming an upgrade; without confirmation it is rolled back automatically.

The deadline is stored on disk, so that it survives a reboot. It is valid only while the previous
version is retained. Confirming and rolling back take the same lock, so that only one of them
happens.
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
PAUSE = 5.0  # seconds between two checks while waiting
REMOVING = 60.0  # seconds to wait for a confirmation that is removing the previous version
AGAIN = 60.0  # seconds between two attempts, if another run works on the hub


@dataclass(frozen=True)
class Deadline:
    """The time, in UTC, until which the upgrade started ``at`` must be confirmed."""

    at: str
    until: str

    @property
    def seconds(self) -> float:
        """The seconds that remain; negative after the deadline."""
        until = datetime.strptime(self.until, MOMENT).replace(tzinfo=timezone.utc)
        return (until - datetime.now(timezone.utc)).total_seconds()


def ask(source: Source, ended: Mark) -> None:
    """Start the confirmation deadline of an upgrade, if one is configured.

    Raises what `watch` raises; it is safe to call again then.
    """
    if ended.way is None or not ended.way["environments"]:
        return  # only settings were set: the retained previous version is unchanged
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
        forget(source.hub)  # an earlier upgrade's deadline, which no longer applies


def forget(hub: Hub) -> None:
    """Remove the deadline: no confirmation is needed any more."""
    with suppress(FileNotFoundError):
        (hub.work / NAME).unlink()
        files.sync_folder(hub.work)


def read(hub: Hub) -> Deadline | None:
    """Return the current deadline; None if there is nothing to confirm."""
    with suppress(OSError, ValueError, TypeError, NothingToRollBack):
        found = Deadline(**json.loads(files.read(hub.work / NAME)))
        return found if previous.read(hub).at == found.at else None
    return None


def until(hub: Hub) -> str:
    """Return the time until which the last upgrade must be confirmed; empty if it need not be."""
    waits = read(hub)
    return waits.until if waits else ""


def confirm(source: Source) -> Deadline:
    """Confirm the upgrade and cancel the automatic rollback. Raises `NothingToConfirm`."""
    hub = source.hub
    try:
        with lock.hold(hub, "the confirmation", LOCK):
            found, unfinished = read(hub), state_file.read(hub)
            if unfinished and unfinished.phase == state_file.BACK:
                raise _going_back()
            if found is None:
                raise _nothing(hub)
            forget(hub)
            if not source.settings.upgrade.keep_previous:
                copies.remove(hub.previous)
    except Busy as error:
        if _ends(hub):
            raise  # a later upgrade holds the lock, and only briefly
        raise _going_back() from error
    return found


def _ends(hub: Hub) -> bool:
    now = state_file.read(hub)
    return now is not None and now.phase == state_file.PROVING


@contextmanager
def closed(hub: Hub, what: str) -> Iterator[Deadline | None]:
    """Block confirmation during ``what``; yield the deadline, or None if there is none."""
    with lock.hold(hub, what, LOCK, REMOVING):
        yield read(hub)


def watch(source: Source) -> None:
    """Schedule the automatic rollback at the deadline, independently of this process.

    Under systemd this is a timer; otherwise a background process, which does not survive a reboot.
    Raises `ServicesUnreachable`.
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
    """Return the arguments that roll an upgrade back unless it is confirmed."""
    named = ["--settings", str(source.file.absolute())] if source.file else []
    return ["rollback", "--unless-confirmed", at, "--hub", str(source.hub.prefix), *named]


def stand_by(source: Source, at: str, go_back: Callable[[], None]) -> None:
    """Wait for the deadline of an upgrade, then roll it back; return when that is done.

    Returns early once the upgrade is confirmed. ``go_back`` only starts the rollback, and it may
    fail: it is retried every `AGAIN` seconds until the deadline is removed.
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
