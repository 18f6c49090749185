"""The expected downtime of the hub and of the users' servers, as measured in an earlier upgrade.

It is never estimated, because the duration of a restart depends on this hub, its database and its
machine. It is unknown until an upgrade has been measured here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tljh_runbook.errors import SnapshotMissing
from tljh_runbook.hub.context import Source
from tljh_runbook.hub.servers.probe import SERVER
from tljh_runbook.hub.snapshots import manifest
from tljh_runbook.hub.upgrade.report import report


@dataclass(frozen=True)
class Outage:
    """Downtimes in seconds; None if unknown. ``seen`` is the time of the measured upgrade."""

    hub: float | None = None
    servers: float | None = None
    seen: str = ""

    def to_json(self) -> dict[str, Any]:
        return {"hub": self.hub, "servers": self.servers, "seen": self.seen}


def expected(source: Source, *, proxy: bool) -> Outage:
    """Return the downtimes measured in the newest comparable upgrade.

    An upgrade is comparable if it was prepared beside the hub; for users' servers, if it also
    restarted the ``proxy``. Otherwise they keep running and stay available.
    """
    known = list(_measured(source))
    hub = next((each for each in known if _away(each, hub=True) is not None), None)
    alike = (each for each in known if each["forecast"].get("proxy_restarts"))
    cut = next((away for each in alike if (away := _away(each, hub=False)) is not None), None)
    return Outage(
        hub=_away(hub, hub=True) if hub else None,
        servers=cut if proxy else 0.0,
        seen=str(hub["at"]) if hub else "",
    )


def _measured(source: Source) -> Iterator[dict[str, Any]]:
    """Yield the reports of upgrades that were prepared beside the hub, newest first."""
    found = source.backups.glob(f"*/{manifest.REPORTS}/upgrade-*.json")
    for path in sorted(found, key=lambda path: path.name, reverse=True):
        try:
            values = report.read(path)
        except SnapshotMissing:
            continue
        if values.get("forecast"):
            yield values


def _away(values: dict[str, Any], *, hub: bool) -> float | None:
    """Return the downtime of the hub, or the longest downtime among the users' servers."""
    names = "hub" if hub else SERVER
    away = [each["away"] for each in values["outages"] if each["name"].startswith(names)]
    return max(away, default=None)
