"""The state of an upgrade, written before each phase, so that a run can resume after a kill.

*staging*: the live hub is untouched, or fully restored. *swapping*: it may be half old and half
new, and is rolled back. *proving*: the new version runs and is being verified. *going back*: it is
being rolled back.
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
SPARE = 1 << 16  # bytes for the other files that are written until the upgrade is finished
STAGING, SWAPPING, PROVING, BACK = "staging", "swapping", "proving", "going back"


@dataclass(frozen=True)
class Mark:
    """The upgrade state: what an upgrade started from, and its current phase."""

    at: str
    phase: str
    snapshot: str
    labels: dict[str, str]
    before: dict[str, Any] = field(default_factory=dict)
    """The guarantees, measured right before the live hub is changed."""
    way: dict[str, Any] | None = None
    """The rollback plan; set before the live hub is changed."""
    confirm_within: int = 0
    """Minutes after the upgrade within which it must be confirmed; 0 if it need not be."""
    why: str = ""
    """Why it is being rolled back; stored so that a resumed rollback can still report it."""

    @property
    def half_done(self) -> bool:
        """Whether the hub may be half old and half new; such an upgrade is rolled back."""
        return self.phase in {SWAPPING, BACK}

    @property
    def rolls_back(self) -> bool:
        """Whether it ends with the previous version, which may already be restored."""
        return self.half_done or (self.phase == STAGING and self.way is not None)


def read(hub: Hub) -> Mark | None:
    """Return the state of an unfinished upgrade; None if there is none."""
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
    """Return the state of an upgrade or rollback that was cut off; None if there is none."""
    left = read(hub)
    working = any(journal.state(hub, task)["running"] for task in ("upgrade", "rollback"))
    # Read again: it may have finished between the two checks, and removed its state file.
    return read(hub) if left and not working else None


def write(hub: Hub, mark: Mark) -> Mark:
    """Write the upgrade state atomically; on a full disk, use the reserved space."""
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
    """Write the next phase, and what is known by now, before any step of it runs.

    From the swap on, a full disk must not block this: space is reserved at its start, while the
    upgrade can still be refused.
    """
    entered = replace(mark, phase=phase, **more)
    if phase == SWAPPING:
        reserve(hub, entered, "The live hub was not touched.")
    return write(hub, entered)


def reserve(hub: Hub, mark: Mark, state: str) -> None:
    """Reserve disk space for the upgrade state and what follows, before the hub is changed.

    ``state`` is the part of the error message that says what state things are in. Raises `NoSpace`.
    """
    with files.disk_errors(hub.work, state):
        files.replace(hub.work / RESERVE, os.urandom(len(json.dumps(asdict(mark))) + SPARE))


def end(hub: Hub) -> None:
    """Remove the state file: the upgrade is finished, or fully rolled back."""
    with suppress(FileNotFoundError):
        (hub.work / NAME).unlink()
        files.sync_folder(hub.work)
    relieve(hub)


def relieve(hub: Hub) -> bool:
    """Free the reserved space; return whether there was any."""
    try:
        (hub.work / RESERVE).unlink()
    except FileNotFoundError:
        return False
    return True


def needed_snapshots(hub: Hub) -> dict[str, str]:
    """Return the snapshot that an unfinished upgrade started from, with the reason to retain it."""
    unfinished = read(hub)
    return {unfinished.snapshot: "an unfinished upgrade"} if unfinished else {}
