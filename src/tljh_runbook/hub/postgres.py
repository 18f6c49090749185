"""Databases on a PostgreSQL server, asked through ``psql``.

Settings and password travel in the environment, which only root and the user itself can read;
never in a command line, which everybody can.
"""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any
from urllib.parse import parse_qsl, unquote, urlsplit

from tljh_runbook.errors import DatabaseForeign, DatabaseMissing, NoSpace, RunbookError, ToolMissing

SCHEMES = {"postgresql", "postgres"}
CONNECT_SECONDS = "30"
LOCK_WAIT = "30s"  # how long a restore waits for a lock that another program holds
# What may stand behind the question mark of an address, and the variable that libpq reads.
PARAMETERS = {
    "host": "PGHOST",
    "hostaddr": "PGHOSTADDR",
    "port": "PGPORT",
    "user": "PGUSER",
    "dbname": "PGDATABASE",
    "passfile": "PGPASSFILE",
    "service": "PGSERVICE",
    "sslmode": "PGSSLMODE",
    "sslcert": "PGSSLCERT",
    "sslkey": "PGSSLKEY",
    "sslrootcert": "PGSSLROOTCERT",
    "sslcrl": "PGSSLCRL",
    "gssencmode": "PGGSSENCMODE",
    "channel_binding": "PGCHANNELBINDING",
    "target_session_attrs": "PGTARGETSESSIONATTRS",
    "connect_timeout": "PGCONNECT_TIMEOUT",
    "application_name": "PGAPPNAME",
}
PSQL = ["psql", "--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set=ON_ERROR_STOP=1"]
_READ_ONLY = "-c default_transaction_read_only=on"
# A value per column, in order, whatever the columns are called: names may be there twice.
_AS_JSON = (
    "SELECT coalesce(json_agg((SELECT json_agg(value) FROM json_each(row_to_json(found)))), '[]')"
    " FROM ({query}) AS found"
)
_TABLES = (
    "SELECT schemaname, tablename, format('%I.%I', schemaname, tablename),"
    " tableowner = current_user FROM pg_tables"
    " WHERE schemaname NOT IN ('pg_catalog', 'information_schema') ORDER BY 1, 2"
)


@dataclass(frozen=True)
class Server:
    """One database on a PostgreSQL server: libpq's variables, and the password apart."""

    variables: dict[str, str]
    password: str = field(default="", repr=False)

    def __str__(self) -> str:
        user = self.variables.get("PGUSER")
        host = self.variables.get("PGHOST", "")
        port = self.variables.get("PGPORT")
        place = f"{user + '@' if user else ''}{host}{':' + port if port else ''}"
        return f"postgresql://{place}/{self.name}"

    @property
    def name(self) -> str:
        """The name of the database."""
        return self.variables.get("PGDATABASE") or self.variables.get("PGUSER") or ""

    def environment(self, *, writing: bool = False) -> dict[str, str]:
        """Return what PostgreSQL's programs need to know; they may only read unless told."""
        own = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        secret = {"PGPASSWORD": self.password} if self.password else {}
        options = f"-c lock_timeout={LOCK_WAIT}" if writing else _READ_ONLY
        common = {
            "LC_ALL": "C",
            "PGCLIENTENCODING": "UTF8",
            "PGCONNECT_TIMEOUT": CONNECT_SECONDS,
            "PGOPTIONS": options,
        }
        return {**own, **common, **self.variables, **secret}


def parse(url: str) -> Server:
    """Return the database that an address names. Raises `DatabaseForeign`, never showing it."""
    try:
        parts = urlsplit(url)
        given = {
            "host": unquote(parts.hostname or ""),
            "port": str(parts.port or ""),
            "user": unquote(parts.username or ""),
            "dbname": unquote(parts.path[1:]),
        }
        given |= dict(parse_qsl(parts.query, strict_parsing=bool(parts.query)))
        password = unquote(parts.password or "")
    except ValueError:  # it quotes what it could not read, which may be the password
        raise _foreign("cannot be read") from None
    password = given.pop("password", password)
    for name in given:
        if name not in PARAMETERS:
            raise _foreign(f"has the parameter {name!r}, which is not known here")
    return Server({PARAMETERS[name]: value for name, value in given.items() if value}, password)


def query(server: Server, sql: str) -> list[tuple[Any, ...]]:
    """Return what one SELECT finds; a statement that would write is refused."""
    said = run([*PSQL, "--command", _AS_JSON.format(query=sql)], server)
    return [tuple(row) for row in json.loads(said)]


def rows(server: Server) -> dict[str, int]:
    """Return the number of rows of each table, all at one moment."""
    counts = [
        f"SELECT {_text(short(schema, table))}, count(*) FROM {quoted}"  # noqa: S608 - as quoted by the server
        for schema, table, quoted, _ in query(server, _TABLES)
    ]
    return dict(query(server, " UNION ALL ".join(counts))) if counts else {}


def own_tables(server: Server) -> dict[str, str]:
    """Return the tables of the user itself by short name, with their names as SQL writes them."""
    found = query(server, _TABLES)
    return {short(schema, table): quoted for schema, table, quoted, own in found if own}


def size(server: Server) -> int:
    """Return how many bytes the database takes on its server."""
    return int(query(server, "SELECT pg_database_size(current_database())")[0][0])


def short(schema: str, table: str) -> str:
    """Return a table's name, without the schema that is there by itself."""
    return table if schema == "public" else f"{schema}.{table}"


def run(
    command: list[str],
    server: Server,
    *,
    writing: bool = False,
    output: int | None = None,
    given: IO[bytes] | None = None,
) -> str:
    """Run one of PostgreSQL's programs on a database; return what it says.

    Raises `ToolMissing`, `NoSpace`, and `DatabaseMissing` with the program's own words.
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
        hint="sudo apt-get install postgresql-client",
    )


def passfile(server: Server) -> str:
    """Return the password as libpq reads it from a file."""
    escaped = server.password.replace("\\", "\\\\").replace(":", "\\:")
    return f"*:*:*:*:{escaped}\n"


def kept(variables: dict[str, str], file: Path) -> Server:
    """Return a database as a snapshot remembers it, its password in ``file`` if it has one."""
    secret = {"PGPASSFILE": str(file)} if file.exists() else {}
    return Server({**variables, **secret})


def _failed(program: str, said: str, server: Server) -> RunbookError:
    line = " ".join(said.split())
    if server.password:
        line = line.replace(server.password, "…")
    if "No space left on device" in line:
        return NoSpace(
            f"{program} found no room on the disk: {line}. What was begun was removed again.",
            hint="Free some room, then run it again. How much there is: df -h",
        )
    return DatabaseMissing(
        f"{server}: {line}. Nothing was changed.",
        hint="Does the server run, and is this its address? If not, name it in the settings file: "
        "databases: {NAME: postgresql://USER:PASSWORD@HOST/DATABASE}",
    )


def _foreign(why: str) -> DatabaseForeign:
    return DatabaseForeign(
        f"The address of a PostgreSQL database {why}. Nothing was changed.",
        hint="Write it as postgresql://USER:PASSWORD@HOST:PORT/DATABASE, with %40 for an @ in the "
        "password, %2F for a / and %3A for a colon.",
    )


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
