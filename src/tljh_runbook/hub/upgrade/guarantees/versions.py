"""The guarantee that the hub runs the target versions."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from tljh_runbook.hub.context import Source
from tljh_runbook.hub.versions import versions
from tljh_runbook.hub.versions.targets import Targets
from tljh_runbook.hub.versions.versions import Package


class VersionsAsked:
    name = "versions"
    statement = "TLJH and the plugins are at the versions and commits that were asked for."
    order = 8

    def measure(self, source: Source) -> Any:
        """Return the installed versions, and the targets of a running upgrade."""
        now = versions.packages(source.hub).values()
        return {
            "installed": [asdict(each) for each in now],
            "targets": source.resolved.to_json() if source.resolved else None,
        }

    def judge(self, before: Any, after: Any) -> tuple[bool | None, str]:
        known = before.get("targets") if isinstance(before, dict) else None
        if known is None:
            return None, "what was asked for is not known"
        now = [Package(**each) for each in after["installed"]]
        wrong = Targets.from_json(known).unmet({each.name: each for each in now})
        return not wrong, "; ".join(wrong) or "as asked"


GUARANTEE = VersionsAsked()
