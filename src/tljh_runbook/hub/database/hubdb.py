"""Users, groups and running servers in the hub's own database."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from tljh_runbook.hub.database import sql
from tljh_runbook.hub.database.sql import Database


@dataclass(frozen=True)
class Server:
    """A running user server; ``base`` is its path on the hub, ``state`` is its spawner's state.

    ``at`` is the address it listens on, so that a restarted server counts as a different one, even
    in the same unit.
    """

    user: str
    name: str
    base: str
    state: dict[str, Any]
    at: str

    @property
    def api(self) -> str:
        """The path that answers without a login."""
        return f"{self.base}api"

    @property
    def label(self) -> str:
        return _label(self.user, self.name)


def _label(user: str, name: str) -> str:
    return f"{user}/{name}" if name else user


def users(database: Database) -> dict[str, bool]:
    """Return every user, and whether the user is an admin."""
    rows = sql.query(database, "SELECT name, admin FROM users ORDER BY name")
    return {str(name): bool(admin) for name, admin in rows}


def groups(database: Database) -> dict[str, list[str]]:
    """Return every group with its members."""
    found: dict[str, list[str]] = {
        str(name): [] for (name,) in sql.query(database, "SELECT name FROM groups ORDER BY name")
    }
    members = (
        "SELECT groups.name, users.name FROM user_group_map"
        " JOIN groups ON groups.id = group_id JOIN users ON users.id = user_id"
        " ORDER BY groups.name, users.name"
    )
    for group, user in sql.query(database, members):
        found[str(group)].append(str(user))
    return found


def services(database: Database) -> dict[str, str]:
    """Return the path on the hub of each service that has web pages, by service name."""
    pages = (
        "SELECT services.name, servers.base_url FROM services"
        " JOIN servers ON servers.id = services._server_id ORDER BY services.name"
    )
    return {str(name): str(base) for name, base in sql.query(database, pages)}


def servers(database: Database) -> list[Server]:
    """Return every user server that is running according to the hub."""
    running = (
        "SELECT users.name, spawners.name, servers.base_url, spawners.state, ip, port FROM spawners"
        " JOIN users ON users.id = spawners.user_id JOIN servers ON servers.id = server_id"
        " ORDER BY users.name, spawners.name"
    )
    return [
        Server(
            str(user),
            str(name or ""),
            str(base),
            json.loads(state or "{}"),
            f"{ip or ''}:{port or 0}",
        )
        for user, name, base, state, ip, port in sql.query(database, running)
    ]


def stops(database: Database) -> dict[str, float]:
    """Return when the hub stopped each server that is not running, by server label.

    In seconds since 1970. JupyterHub records a stop as the last activity, in UTC; a server that
    never ran has none.
    """
    stopped = (
        "SELECT users.name, spawners.name, spawners.last_activity FROM spawners"
        " JOIN users ON users.id = spawners.user_id WHERE server_id IS NULL"
    )
    return {
        _label(str(user), str(name or "")): _moment(activity)
        for user, name, activity in sql.query(database, stopped)
        if activity
    }


def _moment(written: Any) -> float:
    moment = datetime.fromisoformat(str(written))
    return (moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)).timestamp()
