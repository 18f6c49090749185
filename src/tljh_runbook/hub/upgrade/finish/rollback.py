"""A preview of what a rollback would change; it changes nothing."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tljh_runbook.hub.context import Source
from tljh_runbook.hub.core.layout import Hub
from tljh_runbook.hub.core.settings.requirements import TLJH_NAME
from tljh_runbook.hub.database import databases, postgres_dump, running_servers, sql
from tljh_runbook.hub.software import installed
from tljh_runbook.hub.upgrade.swap import dumps, previous, rollback_plan
from tljh_runbook.hub.versions import versions


@dataclass(frozen=True)
class Going:
    """The preview of a rollback: ``changes`` are names, each with the current and previous version.

    ``packages`` are the other packages of the hub's environment. ``lost`` are counts, by table, of
    the rows that only the newer databases have, if those were migrated. ``born`` are user servers
    started since the upgrade; ``orphaned`` those of them that the previous hub will not know.
    """

    at: str
    snapshot: str
    changes: list[list[str]]
    packages: list[list[str]]
    lost: dict[str, int]
    born: list[str]
    orphaned: list[str]
    since: list[list[str]] | None = None
    """What was installed, changed or removed since the upgrade, as returned by `installed.since`;
    None if the upgrade recorded no list.
    """

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def plan(source: Source) -> Going:
    """Return what a rollback of the last upgrade would change. Raises `NothingToRollBack`."""
    kept = previous.read(source.hub)
    now = versions.installed(source.hub).rows()
    changes = [
        [name, now.get(name, "-"), kept.labels.get(name, "-")]
        for name in {**now, **kept.labels}
        if now.get(name) != kept.labels.get(name)
    ]
    lost = {
        f"{name}: {table}": count
        for name in kept.way.databases
        if rollback_plan.migrated(kept.way, name)
        for table, count in _newer(kept.way, name).items()
    }
    for name, server in rollback_plan.servers(source, kept.way).items():
        if dumps.migrated(server, kept.way.database(name)):
            before = postgres_dump.contents(kept.way.database(name)).rows
            more = _more(before, sql.rows(server))
            lost |= {f"{name}: {table}": count for table, count in more.items()}
    born, orphaned = _born(kept.way)
    since = installed.since(source.hub, kept.installed) if kept.installed else None
    packages = _packages(source.hub)
    return Going(kept.at, kept.snapshot, changes, packages, lost, born, orphaned, since)


def _packages(hub: Hub) -> list[list[str]]:
    """Return the other packages that differ in the hub's previous environment."""
    named = {TLJH_NAME, "jupyterhub", *versions.plugins(hub)}
    now, then = versions.packages(hub), versions.packages(Hub(hub.previous))
    pairs = {
        name: [each[name].label if name in each else "-" for each in (now, then)]
        for name in sorted({*now, *then} - named)
    }
    return [[name, *pair] for name, pair in pairs.items() if pair[0] != pair[1]]


def _born(way: rollback_plan.Way) -> tuple[list[str], list[str]]:
    name = databases.REQUIRED
    if name not in way.databases or not rollback_plan.migrated(way, name):
        return [], []
    old, newer = way.database(name), Path(way.databases[name])
    found = [each.label for each in running_servers.started_since(old, newer)]
    return found, found if running_servers.unfit(old, newer) else []


def _newer(way: rollback_plan.Way, name: str) -> dict[str, int]:
    return _more(sql.rows(way.database(name)), sql.rows(Path(way.databases[name])))


def _more(before: dict[str, int], now: dict[str, int]) -> dict[str, int]:
    return {
        table: count - before[table]
        for table, count in now.items()
        if count > before.get(table, count)
    }
