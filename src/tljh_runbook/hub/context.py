"""The hub context: a hub's paths, settings, services and upgrade targets."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from tljh_runbook.hub.core.layout import Hub
from tljh_runbook.hub.core.settings import Settings
from tljh_runbook.hub.system.services import Services
from tljh_runbook.hub.versions.targets import Targets, resolve


@dataclass(frozen=True)
class Source:
    """The hub that a command works on."""

    hub: Hub
    settings: Settings
    services: Services
    file: Path | None = None
    """The settings file, if one other than the hub's own was named."""

    resolved: Targets | None = None
    """The upgrade targets, once resolved: a branch may move while the upgrade runs."""

    @property
    def targets(self) -> Targets:
        """The target version of each package."""
        return self.resolved or resolve(self.hub, self.settings)

    def settled(self) -> Source:
        """Return the hub with its targets resolved, so that they no longer change."""
        return replace(self, resolved=self.targets)

    @property
    def backups(self) -> Path:
        """The folder that holds the snapshots."""
        return Path(self.settings.backups)
