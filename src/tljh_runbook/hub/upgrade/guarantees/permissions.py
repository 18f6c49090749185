"""The guarantee that the same groups may still use the same environments of the plugin."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from tljh_runbook.hub.context import Source
from tljh_runbook.hub.database import databases, sql
from tljh_runbook.hub.database.sql import Database
from tljh_runbook.hub.upgrade import guarantees

# database -> its table, and the query for the columns that identify a row to users
KEYS = {
    "plasma": ("permissions", 'SELECT "group", image FROM permissions ORDER BY 1, 2'),
    "repo2docker": ("images", "SELECT name FROM images ORDER BY 1"),
}


class Permissions:
    name = "environments"
    statement = "Every permission and every environment's build record is still there."
    order = 4
    databases = frozenset(KEYS)

    look = guarantees.SERVICES

    def measure(self, source: Source) -> Any:
        return self.when_stopped({}, databases.find(source.hub, source.services, source.settings))

    def when_stopped(self, before: Any, found: Mapping[str, Database]) -> Any:
        del before
        return {
            table: [list(row) for row in sql.query(found[database], query)]
            for database, (table, query) in KEYS.items()
            if database in found and table in sql.rows(found[database])
        }

    def since(self, first: Any, after: Any) -> str:
        return ", ".join(_lost(first, after))

    def judge(self, before: Any, after: Any) -> tuple[bool, str]:
        lost = list(_lost(before, after))
        counted = ", ".join(f"{len(rows)} {table} rows" for table, rows in before.items())
        return not lost, "; ".join(lost) or counted or "the hub keeps none"

    def shared(self, before: Any, after: Any, returned: Collection[str]) -> Any:
        tables = {KEYS[name][0] for name in returned if name in KEYS}
        return {
            table: [row for row in rows if table not in tables or row in after.get(table, [])]
            for table, rows in before.items()
        }


def _lost(before: Any, after: Any) -> Iterator[str]:
    for table, rows in before.items():
        for row in rows:
            if row not in after.get(table, []):
                yield f"{table}: {' '.join(map(str, row))} is gone"


GUARANTEE = Permissions()
