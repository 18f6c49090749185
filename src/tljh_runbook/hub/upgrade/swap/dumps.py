"""Rollback of databases on PostgreSQL servers.

Their files cannot be copied, so a dump is saved instead. The schema is stored next to it, to detect
later whether the newer version has migrated the database.
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
# The restored session has an empty search path, so every table name needs its schema.
KNOWN = "u.name, coalesce(s.name, ''), coalesce(v.ip, '') || ':' || coalesce(v.port, 0)"
FORGET = (
    "UPDATE public.spawners s SET server_id = NULL FROM public.users u, public.servers v"
    " WHERE s.user_id = u.id AND s.server_id = v.id"
)
REVISION = "SELECT version_num FROM alembic_version"


def keep(server: Server, dump: Path) -> None:
    """Save a dump of a database and its schema, both synced to disk.

    Safe to call again after it was cut off. Raises what `databases.copy` raises.
    """
    files.make_private(dump.parent)
    new = dump.with_name(f".{dump.name}.new")
    new.unlink(missing_ok=True)
    files.replace(_schema_file(dump), json.dumps(_schema(server)).encode())
    databases.copy(server, new)
    new.replace(dump)
    files.sync_folder(dump.parent)


def migrated(server: Server, dump: Path) -> bool:
    """Return whether the schema of a database differs from the saved one."""
    return dump.exists() and json.loads(files.read(_schema_file(dump))) != _schema(server)


def restore(server: Server, dump: Path, newer: Path) -> bool:
    """Restore a database if it was migrated, and retain the ``newer`` one; return whether it was.

    Atomic, and safe to call again. Raises `RestoreFailed`, `DatabaseMissing`.
    """
    if not migrated(server, dump):
        return False
    keep(server, _free(newer))  # an earlier attempt's dump may lack later changes
    own = dump.name == databases.REQUIRED  # only the hub's own database contains user servers
    then = _forget_others(hubdb.servers(server)) if own else ""
    postgres_dump.restore(server, dump, then)
    return True


def _free(path: Path) -> Path:
    """Return the path, or the first numbered variant of it that does not exist."""
    numbered = (path.with_name(f"{path.name}-{number}") for number in itertools.count(2))
    return next(each for each in itertools.chain([path], numbered) if not each.exists())


def _forget_others(running: list[hubdb.Server]) -> str:
    """Return the SQL that makes the old database forget user servers that were replaced since.

    The old hub would not find such a server at its old address, and would stop it.
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
