"""Addresses of databases on PostgreSQL servers, as written in settings and configurations.

Settings and password are passed in the environment, which only root and the user itself can read;
never on a command line, which anyone can read.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from tljh_runbook.errors import DatabaseForeign

SCHEMES = {"postgresql", "postgres"}
CONNECT_SECONDS = "30"
LOCK_WAIT = "30s"  # how long a restore waits for a lock that another program holds
# Parameters after the question mark of an address, and the variables that libpq reads.
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
_READ_ONLY = "-c default_transaction_read_only=on"


@dataclass(frozen=True)
class Server:
    """One database on a PostgreSQL server: libpq's variables, and the password separately."""

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
        """Return the environment for PostgreSQL's programs, read-only unless ``writing``."""
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
    """Parse the address of a database. Raises `DatabaseForeign`, which never shows the address."""
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
    except ValueError:  # it quotes what it could not parse, which may be the password
        raise _foreign("cannot be read") from None
    password = given.pop("password", password)
    for name in given:
        if name not in PARAMETERS:
            raise _foreign(f"has the parameter {name!r}, which is not known here")
    return Server({PARAMETERS[name]: value for name, value in given.items() if value}, password)


def passfile(server: Server) -> str:
    """Return the password in the format of libpq's password file."""
    escaped = server.password.replace("\\", "\\\\").replace(":", "\\:")
    return f"*:*:*:*:{escaped}\n"


def kept(variables: dict[str, str], file: Path) -> Server:
    """Return a database as recorded in a snapshot, with its password in ``file`` if it has one."""
    secret = {"PGPASSFILE": str(file)} if file.exists() else {}
    return Server({**variables, **secret})


def _foreign(why: str) -> DatabaseForeign:
    return DatabaseForeign(
        f"The address of a PostgreSQL database {why}. Nothing was changed.",
        hint="Write it as postgresql://USER:PASSWORD@HOST:PORT/DATABASE, with %40 for an @ in the "
        "password, %2F for a / and %3A for a colon.",
    )
