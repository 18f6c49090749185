"""The building blocks of a restore: actions that are previewed before they run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path

from tljh_runbook.hub.context import Source
from tljh_runbook.hub.snapshots.manifest import Entry
from tljh_runbook.hub.snapshots.snapshot import Snapshot

MOMENT = "%Y%m%dT%H%M%S.%fZ"  # microseconds, so no two runs share a name
Say = Callable[[str], None]


def _nothing() -> None:
    """Do nothing."""


@dataclass(frozen=True)
class Action:
    """One change that a restore makes: how it is described, and how it is carried out.

    ``before`` and ``after`` are a few words or a version.  ``prepare`` is called before anything
    is changed and may raise; ``discard`` cleans up after it.  ``carry_out`` changes the hub.  With
    ``stopped`` it runs while the hub is stopped, and with ``proxy`` the proxy is stopped as well.
    ``undo`` reverts it if a later action fails; without ``undo`` the restore can only be repeated.
    An action that has been carried out is not offered again, so an interrupted run can be repeated.
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
    """The folder that holds the files it replaces, if the action has a folder of its own."""


@dataclass(frozen=True)
class Restoration:
    """One restore: which snapshot, to which hub, and where replaced files are retained."""

    source: Source
    kept: Snapshot
    say: Say = print
    paths: tuple[Path, ...] = ()
    """Restore only these paths and everything below them; restore everything if empty."""
    missing_only: bool = False
    """For user data: restore what is missing, and don't touch what has changed since."""
    typed: str = "restore"
    """The subcommand that repeats this restore, without the program name and the hub option."""
    begin: Say | None = None
    """Called when a phase starts; ``say`` only reports progress within it."""
    components: frozenset[str] = frozenset()
    """The names of all components in this restore."""
    left: list[str] = field(default_factory=list)
    """What still differs after the restore, as messages to show."""
    notes: list[str] = field(default_factory=list)
    """What is not restored, why, and how to fix it, as messages to show."""
    moment: str = field(default_factory=lambda: f"{datetime.now(timezone.utc):{MOMENT}}")

    def phase(self, text: str) -> None:
        """Announce the start of a phase."""
        (self.begin or self.say)(text)

    def entries(self, component: str) -> list[Entry]:
        """Return the files of a component that this restore covers."""
        found = self.kept.manifest.of(component)
        return [each for each in found if each.below(self.paths)] if self.paths else found

    @property
    def replaced(self) -> Path:
        """The folder for replaced files, created by the first code that writes to it."""
        return self.source.hub.work / "replaced" / self.moment
