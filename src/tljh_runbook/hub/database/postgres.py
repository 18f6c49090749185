"""Databases on a PostgreSQL server, queried through its own programs."""

from __future__ import annotations

import json
import subprocess
from typing import IO, Any

from tljh_runbook.errors import DatabaseMissing, NoSpace, RunbookError, ToolMissing
from tljh_runbook.hub.database.postgres_address import Server

PSQL = ["psql", "--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set=ON_ERROR_STOP=1"]
# One value per column, in order, whatever the columns are called: names may occur twice.
_AS_JSON = (
    "SELECT coalesce(json_agg((SELECT json_agg(value) FROM json_each(row_to_json(found)))), '[]')"
    " FROM ({query}) AS found"
)
_TABLES = (
    "SELECT schemaname, tablename, format('%I.%I', schemaname, tablename),"
    " tableowner = current_user FROM pg_tables"
    " WHERE schemaname NOT IN ('pg_catalog', 'information_schema') ORDER BY 1, 2"
)


def query(server: Server, sql: str) -> list[tuple[Any, ...]]:
    """Return the rows that one SELECT finds; a statement that would write is refused."""
    said = run([*PSQL, "--command", _AS_JSON.format(query=sql)], server)
    return [tuple(row) for row in json.loads(said)]


def rows(server: Server) -> dict[str, int]:
    """Return the number of rows in each table, all from the same moment."""
    counts = [
        f"SELECT {text(short(schema, table))}, count(*) FROM {quoted}"  # noqa: S608 - as quoted by the server
        for schema, table, quoted, _ in query(server, _TABLES)
    ]
    return dict(query(server, " UNION ALL ".join(counts))) if counts else {}


def own_tables(server: Server) -> dict[str, str]:
    """Return the tables that the current user owns: short name to name quoted for SQL."""
    found = query(server, _TABLES)
    return {short(schema, table): quoted for schema, table, quoted, own in found if own}


def size(server: Server) -> int:
    """Return the size of the database on its server, in bytes."""
    return int(query(server, "SELECT pg_database_size(current_database())")[0][0])


def short(schema: str, table: str) -> str:
    """Return a table's name, without the default schema."""
    return table if schema == "public" else f"{schema}.{table}"


def run(
    command: list[str],
    server: Server,
    *,
    writing: bool = False,
    output: int | None = None,
    given: IO[bytes] | None = None,
) -> str:
    """Run one of PostgreSQL's programs on a database; return its output.

    Raises `ToolMissing`, `NoSpace`, and `DatabaseMissing` with the program's own message.
    """
    try:
        done = subprocess.run(
            [*command, "--no-password"],
            env=server.environment(writing=writing),
            stdin=given or subprocess.DEVNULL,
            stdout=subprocess.PIPE if output is None else output,
            stderr=subprocess.PIPE,
            check=False,
        )
    except FileNotFoundError:
        raise missing(command[0]) from None
    if done.returncode != 0:
        raise _failed(command[0], done.stderr.decode(errors="replace"), server)
    return (done.stdout or b"").decode()


def missing(program: str) -> ToolMissing:
    return ToolMissing(
        f"The program {program} is not installed, which a PostgreSQL database needs. "
        "Nothing was changed.",
        hint="Install it: sudo apt-get install postgresql-client",
    )


def _failed(program: str, said: str, server: Server) -> RunbookError:
    line = " ".join(said.split())
    if server.password:
        line = line.replace(server.password, "…")
    if "No space left on device" in line:
        return NoSpace(
            f"{program} found no room on the disk: {line}. What was started was removed again.",
            hint="Free some room, then run it again. How much there is: df -h",
        )
    return DatabaseMissing(
        f"{server}: {line}. Nothing was changed.",
        hint="Does the server run, and is this its address? If not, name it in the settings file: "
        "databases: {NAME: postgresql://USER:PASSWORD@HOST/DATABASE}",
    )


def text(value: str) -> str:
    """Return a value as a SQL string literal."""
    return "'" + value.replace("'", "''") + "'"
