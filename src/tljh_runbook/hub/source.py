"""The hub that a command works on: where it lies, what was set, who runs its services."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tljh_runbook.hub.layout import Hub
from tljh_runbook.hub.services import Services
from tljh_runbook.hub.settings import Settings


@dataclass(frozen=True)
class Source:
    """One hub, ready to be worked on."""

    hub: Hub
    settings: Settings
    services: Services
    file: Path | None = None
    """The settings file, where another was named than the hub's own."""

    @property
    def backups(self) -> Path:
        """The folder that holds the snapshots."""
        return Path(self.settings.backups)
