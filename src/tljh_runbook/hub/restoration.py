"""What giving a snapshot back is made of: actions, told before they are carried out."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tljh_runbook.hub.snapshot import Snapshot
from tljh_runbook.hub.source import Source

Say = Callable[[str], None]


def _nothing() -> None:
    """Do nothing."""


@dataclass(frozen=True)
class Action:
    """One thing that giving back changes: what a person is told, and what is done.

    ``before`` and ``after`` are a few words or a version.  ``prepare`` is called while nothing has
    been changed yet, and may raise; ``discard`` takes back what it left beside.  ``carry_out``
    changes the hub; with ``stopped`` it is called while hub and proxy are stopped.  An action
    that was carried out once is not offered again: so an interrupted run can be run again.
    """

    what: str
    before: str
    after: str
    carry_out: Callable[[], None]
    prepare: Callable[[], None] = _nothing
    discard: Callable[[], None] = _nothing
    stopped: bool = False


@dataclass(frozen=True)
class Restoration:
    """One giving back: of which snapshot, to which hub, and where what is replaced is kept."""

    source: Source
    kept: Snapshot
    say: Say = print
    missing_only: bool = False
    """User data: give back what is missing, and leave alone what has changed since."""
    moment: str = field(default_factory=lambda: time.strftime("%Y%m%dT%H%M%SZ", time.gmtime()))

    @property
    def replaced(self) -> Path:
        """The folder that keeps what is replaced; whoever puts something there makes it."""
        return self.source.hub.work / "replaced" / self.moment
