"""Databases on PostgreSQL servers, on the way back from an upgrade.

No copy of their files can be had, so a dump is kept. Beside it lies its schema, which tells later
whether the newer version has migrated the database.
"""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

from tljh_runbook.hub.core import files
from tljh_runbook.hub.database import databases, hubdb, postgres, postgres_dump
from tljh_runbook.hub.database.postgres_address import Server

COLUMNS = """
SELECT table_schema, table_name, column_name, data_type, is_nullable, column_default
FROM information_schema.columns
WHERE table_schema NOT IN ('pg_catalog', 'information_schema') ORDER BY 1, 2, 3
"""
# A dump leaves no schema that is looked in by itself.
KNOWN = "u.name, coalesce(s.name, ''), coalesce(v.ip, '') || ':' || coalesce(v.port, 0)"
FORGET = (
    "UPDATE public.spawners s SET server_id = NULL FROM public.users u, public.servers v"
    " WHERE s.user_id = u.id AND s.server_id = v.id"
)
REVISION = "SELECT version_num FROM alembic_version"


def keep(server: Server, dump: Path) -> None:
    """Write a dump of a database and its schema, both on the disk.

    May be called again after it was cut off. Raises what `databases.copy` raises.
    """
    files.make_private(dump.parent)
    new = dump.with_name(f".{dump.name}.new")
    new.unlink(missing_ok=True)
    files.replace(_schema_file(dump), json.dumps(_schema(server)).encode())
    databases.copy(server, new)
    new.replace(dump)
    files.sync_folder(dump.parent)


def migrated(server: Server, dump: Path) -> bool:
    """Say whether a database has another schema than the one that was kept."""
    return dump.exists() and json.loads(files.read(_schema_file(dump))) != _schema(server)


def restore(server: Server, dump: Path, newer: Path) -> bool:
    """Put a database back when it was migrated, and keep the ``newer`` one; say whether it was.

    Wholly or not at all, and it can be called again. Raises `RestoreFailed`, `DatabaseMissing`.
    """
    if not migrated(server, dump):
        return False
    keep(server, _free(newer))  # what an earlier try has kept may miss what came later
    own = dump.name == databases.REQUIRED  # no other database knows of users' servers
    then = _forget_others(hubdb.servers(server)) if own else ""
    postgres_dump.restore(server, dump, then)
    return True


def _free(path: Path) -> Path:
    """Return the path itself, or with a number where there is such a file."""
    numbered = (path.with_name(f"{path.name}-{number}") for number in itertools.count(2))
    return next(each for each in itertools.chain([path], numbered) if not each.exists())


def _forget_others(running: list[hubdb.Server]) -> str:
    """Return what lets the old database forget the user servers that are others by now.

    The old hub would not find such a one where it was, and would stop it.
    """
    known = ", ".join(
        f"({', '.join(map(postgres.text, (each.user, each.name, each.at)))})" for each in running
    )
    return FORGET + (f" AND ({KNOWN}) NOT IN ({known})" if known else "") + ";\n"


def _schema_file(dump: Path) -> Path:
    return dump.with_name(f"{dump.name}.schema")


def _schema(server: Server) -> list[Any]:
    columns = postgres.query(server, COLUMNS)
    by_alembic = any(column[:2] == ("public", "alembic_version") for column in columns)
    revision = postgres.query(server, REVISION) if by_alembic else []
    return [[*map(list, columns)], [*map(list, revision)]]
