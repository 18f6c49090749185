"""How far an upgrade is, on the disk before it is done: what a kill or a power cut leaves behind.

*staging*: nothing live was touched, or all of it is as it was. *swapping*: it may be half old and
half new; it goes back. *proving*: the new version runs, and is looked at. *going back*: the old one
is being brought back.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from tljh_runbook.errors import DiskFailed
from tljh_runbook.hub.core import files
from tljh_runbook.hub.core.layout import Hub
from tljh_runbook.hub.runs import journal

NAME = "upgrade.json"
RESERVE = "upgrade.reserve"
SPARE = 1 << 16  # bytes for what else is noted until the end
STAGING, SWAPPING, PROVING, BACK = "staging", "swapping", "proving", "going back"


@dataclass(frozen=True)
class Mark:
    """What an upgrade started from, and how far it is."""

    at: str
    phase: str
    snapshot: str
    labels: dict[str, str]
    before: dict[str, Any] = field(default_factory=dict)
    """The guarantees as they were measured the moment before something live was touched."""
    way: dict[str, Any] | None = None
    """The way back, from the moment on at which something live is touched."""
    confirm_within: int = 0
    """In how many minutes it must be confirmed once it has ended well; 0 where it need not."""
    why: str = ""
    """Why it is being rolled back: a rollback that is cut off, and resumed, still tells it."""

    @property
    def half_done(self) -> bool:
        """Whether the hub may be half old and half new: then it is rolled back."""
        return self.phase in {SWAPPING, BACK}

    @property
    def rolls_back(self) -> bool:
        """Whether it ends with the previous version, which may be in its place already."""
        return self.half_done or (self.phase == STAGING and self.way is not None)


def read(hub: Hub) -> Mark | None:
    """Return the mark of an upgrade that has not ended; None when there is none."""
    try:
        return Mark(**json.loads(files.read(hub.work / NAME)))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError) as error:
        raise DiskFailed(
            f"What an upgrade has noted cannot be read: {hub.work / NAME}: {error}.",
            hint=(
                "Restore the newest snapshot: tljh-runbook restore",
                "Then remove that file.",
            ),
        ) from error


def cut_off(hub: Hub) -> Mark | None:
    """Return the mark of an upgrade, or of one that was rolled back, at which nobody works."""
    left = read(hub)
    working = any(journal.state(hub, task)["running"] for task in ("upgrade", "rollback"))
    # It may have ended between the two looks: then its mark is gone by now.
    return read(hub) if left and not working else None


def write(hub: Hub, mark: Mark) -> Mark:
    """Bring a mark to the disk, in one moment; to a full one with the room that was kept for it."""
    data = json.dumps(asdict(mark)).encode()
    with files.disk_errors(hub.work, "Nothing was changed by this step."):
        try:
            files.replace(hub.work / NAME, data)
        except OSError:
            if not relieve(hub):
                raise
            files.replace(hub.work / NAME, data)
    return mark


def enter(hub: Hub, mark: Mark, phase: str, **more: Any) -> Mark:
    """Note the next phase, and what is known by now, before anything of it is done.

    From the swap on a full disk must not keep us from it: the room is taken while it may still be
    refused.
    """
    entered = replace(mark, phase=phase, **more)
    if phase == SWAPPING:
        reserve(hub, entered, "The live hub was not touched.")
    return write(hub, entered)


def reserve(hub: Hub, mark: Mark, state: str) -> None:
    """Take the room to note a mark, and what follows it, before the hub is touched.

    ``state`` says what state things are in where there is none. Raises `NoSpace`.
    """
    with files.disk_errors(hub.work, state):
        files.replace(hub.work / RESERVE, os.urandom(len(json.dumps(asdict(mark))) + SPARE))


def end(hub: Hub) -> None:
    """Take the mark away: all is as it was, or as it was to be."""
    with suppress(FileNotFoundError):
        (hub.work / NAME).unlink()
        files.sync_folder(hub.work)
    relieve(hub)


def relieve(hub: Hub) -> bool:
    """Free the room that was kept; say whether there was any."""
    try:
        (hub.work / RESERVE).unlink()
    except FileNotFoundError:
        return False
    return True


def needed_snapshots(hub: Hub) -> dict[str, str]:
    """Return the snapshot that an unfinished upgrade started from, and why it is needed."""
    begun = read(hub)
    return {begun.snapshot: "an unfinished upgrade"} if begun else {}
