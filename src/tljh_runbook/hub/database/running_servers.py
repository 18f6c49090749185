"""User servers started after the hub's database was saved, and how to add them to that copy.

A hub finds a running server by its rows: those of its user and its spawner, its address, and the
tokens with which the two authenticate to each other. A token is stored as a hash, so it is the same
in both databases.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from tljh_runbook.hub.database import hubdb
from tljh_runbook.hub.database.hubdb import Server

# JupyterHub's note on the token that it gives to a server.
NOTE = "Server at "
FIND = (
    "SELECT spawners.id, users.id, server_id, oauth_client_id FROM newer.spawners"
    " JOIN newer.users ON users.id = user_id WHERE users.name = ? AND IFNULL(spawners.name, '') = ?"
)


@dataclass(frozen=True)
class _Found:
    """The IDs of a server's rows in the newer database."""

    spawner: int
    user: int
    server: int
    client: str | None


def started_since(old: Path, newer: Path) -> list[Server]:
    """Return the running servers that are missing from the older database, or differ there."""
    known = {each.label: each for each in hubdb.servers(old)}
    return [each for each in hubdb.servers(newer) if known.get(each.label) != each]


def enter(old: Path, newer: Path) -> None:
    """Add all of them to the older database, or none. Raises `sqlite3.Error`."""
    found = started_since(old, newer)
    if found:
        with closing(sqlite3.connect(old, uri=True)) as connection:
            _enter_all(connection, newer, found)


def unfit(old: Path, newer: Path) -> str:
    """Try to add them on a copy in memory; return why that fails, or '' if it works."""
    with (
        closing(sqlite3.connect(f"{old.as_uri()}?mode=ro", uri=True)) as origin,
        closing(sqlite3.connect(":memory:", uri=True)) as copy,
    ):
        origin.backup(copy)
        try:
            _enter_all(copy, newer, started_since(old, newer))
        except sqlite3.Error as error:
            return str(error)
    return ""


def _enter_all(connection: sqlite3.Connection, newer: Path, servers: list[Server]) -> None:
    connection.execute("ATTACH ? AS newer", (f"{newer.as_uri()}?mode=ro",))
    with connection:  # one transaction
        for server in servers:
            _enter_one(connection, server)


def _enter_one(connection: sqlite3.Connection, server: Server) -> None:
    found = _Found(*connection.execute(FIND, (server.user, server.name)).fetchone())
    user = _user(connection, server.user, found.user)
    if found.client:  # its secret is the server's token, so an earlier one is invalid
        connection.execute("DELETE FROM main.oauth_clients WHERE identifier = ?", (found.client,))
        _copy(connection, "oauth_clients", "identifier = ?", found.client)
    number = _copy(connection, "servers", "id = ?", found.server)
    connection.execute(
        "DELETE FROM main.servers WHERE id IN"
        " (SELECT server_id FROM main.spawners WHERE user_id = ? AND IFNULL(name, '') = ?)",
        (user, server.name),
    )
    connection.execute(
        "DELETE FROM main.spawners WHERE user_id = ? AND IFNULL(name, '') = ?", (user, server.name)
    )
    _copy(connection, "spawners", "id = ?", found.spawner, user_id=user, server_id=number)
    for (token,) in connection.execute(
        "SELECT id FROM newer.api_tokens WHERE user_id = ? AND (note = ? OR client_id = ?)"
        " AND hashed NOT IN (SELECT hashed FROM main.api_tokens)",
        (found.user, f"{NOTE}{server.base}", found.client),
    ).fetchall():
        _copy(connection, "api_tokens", "id = ?", token, user_id=user)


def _user(connection: sqlite3.Connection, name: str, number: int) -> int:
    """Return the user's ID in the older database; add the user if missing.

    Never as an admin: the purpose of the restore may be to remove an unwanted admin.
    """
    known = connection.execute("SELECT id FROM main.users WHERE name = ?", (name,)).fetchone()
    return int(known[0]) if known else _copy(connection, "users", "id = ?", number, admin=0)


def _copy(
    connection: sqlite3.Connection, table: str, which: str, value: int | str, **given: int
) -> int:
    """Copy a row, with the columns that both databases have; return its new ID."""
    both = _columns(connection, "newer", table) & _columns(connection, "main", table)
    taken = sorted(both - {"id", *given})
    names = ", ".join(f'"{name}"' for name in (*taken, *given))
    values = ", ".join([*(f'"{name}"' for name in taken), *("?" for _ in given)])
    copied = connection.execute(
        f"INSERT INTO main.{table} ({names}) SELECT {values} FROM newer.{table} WHERE {which}",  # noqa: S608 - names of tables and columns
        (*given.values(), value),
    )
    return int(copied.lastrowid or 0)


def _columns(connection: sqlite3.Connection, where: str, table: str) -> set[str]:
    return {str(row[1]) for row in connection.execute(f"PRAGMA {where}.table_info({table})")}
