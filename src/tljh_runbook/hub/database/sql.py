"""Queries that work for both SQLite files and databases on a PostgreSQL server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tljh_runbook.hub.database import postgres, sqlite
from tljh_runbook.hub.database.postgres_address import Server

Database = Path | Server


def query(database: Database, sql: str) -> list[tuple[Any, ...]]:
    """Return the rows that one SELECT finds; a statement that would write is refused."""
    if isinstance(database, Server):
        return postgres.query(database, sql)
    return sqlite.query(database, sql)


def rows(database: Database) -> dict[str, int]:
    """Return the number of rows in each table, all from the same moment."""
    return postgres.rows(database) if isinstance(database, Server) else sqlite.rows(database)


def size(database: Database) -> int:
    """Return the size of a database where it is stored, in bytes."""
    if isinstance(database, Server):
        return postgres.size(database)
    log = sqlite.beside(database, "-wal")
    return database.stat().st_size + (log.stat().st_size if log.exists() else 0)
