"""What restoring a snapshot is made of: actions, told before they are carried out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path

from tljh_runbook.hub.context import Source
from tljh_runbook.hub.snapshots.manifest import Entry
from tljh_runbook.hub.snapshots.snapshot import Snapshot

MOMENT = "%Y%m%dT%H%M%S.%fZ"  # no two runs have the same
Say = Callable[[str], None]


def _nothing() -> None:
    """Do nothing."""


@dataclass(frozen=True)
class Action:
    """One thing that restoring changes: what a person is told, and what is done.

    ``before`` and ``after`` are a few words or a version.  ``prepare`` is called while nothing has
    been changed yet, and may raise; ``discard`` removes what it left beside.  ``carry_out``
    changes the hub; with ``stopped`` it is called while the hub is stopped, with ``proxy`` the
    proxy too, and ``undo`` reverses it when a later one fails; without ``undo`` there is only
    doing it again.  What was restored once is not offered again: so an interrupted run can be
    run again.
    """

    what: str
    before: str
    after: str
    carry_out: Callable[[], None]
    prepare: Callable[[], None] = _nothing
    discard: Callable[[], None] = _nothing
    stopped: bool = False
    proxy: bool = False
    undo: Callable[[], None] | None = None
    replaced: Path | None = None
    """The folder that keeps what it replaces, when that is one of its own."""


@dataclass(frozen=True)
class Restoration:
    """One restoring: of which snapshot, to which hub, and where what is replaced is kept."""

    source: Source
    kept: Snapshot
    say: Say = print
    paths: tuple[Path, ...] = ()
    """What alone is restored, with all that is below it; everything when there is none."""
    missing_only: bool = False
    """User data: restore what is missing, and leave alone what has changed since."""
    typed: str = "restore"
    """What is typed to do the same again, without the program and the hub."""
    begin: Say | None = None
    """Told what begins, where ``say`` is told only how far it is."""
    components: frozenset[str] = frozenset()
    """The names of all components that are restored with it."""
    left: list[str] = field(default_factory=list)
    """What stays different although it was restored: lines for a person."""
    notes: list[str] = field(default_factory=list)
    """What is not restored, why, and what to do about it: lines for a person."""
    moment: str = field(default_factory=lambda: f"{datetime.now(timezone.utc):{MOMENT}}")

    def phase(self, text: str) -> None:
        """Tell what begins."""
        (self.begin or self.say)(text)

    def entries(self, component: str) -> list[Entry]:
        """Return the files of a component that are restored."""
        found = self.kept.manifest.of(component)
        return [each for each in found if each.below(self.paths)] if self.paths else found

    @property
    def replaced(self) -> Path:
        """The folder that keeps what is replaced; whoever puts something there makes it."""
        return self.source.hub.work / "replaced" / self.moment
