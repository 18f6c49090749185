"""The hub that a command works on: where it lies, what was set, who runs its services."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from tljh_runbook.hub.core.layout import Hub
from tljh_runbook.hub.core.settings import Settings
from tljh_runbook.hub.system.services import Services
from tljh_runbook.hub.versions.targets import Targets, resolve


@dataclass(frozen=True)
class Source:
    """One hub, ready to be worked on."""

    hub: Hub
    settings: Settings
    services: Services
    file: Path | None = None
    """The settings file, where another was named than the hub's own."""

    resolved: Targets | None = None
    """What an upgrade brings, once that was resolved: a branch may move while it runs."""

    @property
    def targets(self) -> Targets:
        """The version that an upgrade brings of each package."""
        return self.resolved or resolve(self.hub, self.settings)

    def settled(self) -> Source:
        """Return the hub with its targets resolved, once for all that follows."""
        return replace(self, resolved=self.targets)

    @property
    def backups(self) -> Path:
        """The folder that holds the snapshots."""
        return Path(self.settings.backups)
