"""The hub runs what was asked for."""

from __future__ import annotations

from typing import Any

from tljh_runbook.hub import changes
from tljh_runbook.hub.source import Source


class VersionsAsked:
    name = "versions"
    vow = "TLJH and the plugins are at the versions and commits that were asked for."
    order = 8

    def measure(self, source: Source) -> Any:
        return [
            f"{change.name} is {change.before}, not {change.after}"
            for change in changes.software(source)
        ]

    def judge(self, before: Any, after: Any) -> tuple[bool, str]:  # noqa: ARG002
        return not after, "; ".join(after) or "as asked"


PROMISE = VersionsAsked()
