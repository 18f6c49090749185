"""Where the hub's databases actually are.

A plugin that was once imported manually leaves an empty database in the current folder, and an
administrator may have moved one. So the running hub is examined: its working directory, its
environment, and the files that its processes hold open. If the hub is stopped, the service manager
knows its directory and environment. An old file where the hub once had its database must not be
mistaken for the current one.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from tljh_runbook.errors import (
    DatabaseDamaged,
    DatabaseForeign,
    DatabaseMissing,
    RunbookError,
)
from tljh_runbook.hub.core.layout import Hub
from tljh_runbook.hub.core.settings import Settings
from tljh_runbook.hub.database import db_url, postgres_address, postgres_dump, sqlite, sqlite_copy
from tljh_runbook.hub.database.postgres_address import Server
from tljh_runbook.hub.database.sql import Database
from tljh_runbook.hub.system import processes, services
from tljh_runbook.hub.system.services import Services

# name -> file in the hub's working directory, environment variable that overrides it
KNOWN = {
    "jupyterhub": ("jupyterhub.sqlite", None),
    "plasma": ("tljh_plasma.sqlite", "TLJH_PLASMA_DB_URL"),
    "repo2docker": ("tljh_repo2docker.sqlite", None),
}
REQUIRED = "jupyterhub"
SERVERS = {5432: "PostgreSQL", 3306: "MySQL", 1433: "SQL Server", 1521: "Oracle"}  # by port
HUB_TABLES = {"users", "spawners", "alembic_version"}


@dataclass(frozen=True)
class _Life:
    """What the hub's process runs with, or will run with once it is started."""

    pid: int | None
    directory: Path
    environment: dict[str, str]


def find(hub: Hub, manager: Services, settings: Settings) -> dict[str, Database]:
    """Return the location of each of the hub's databases, by name.

    Raises `DatabaseMissing` if JupyterHub's own, or one in the settings, is not found, and
    `DatabaseForeign` for kinds that cannot be backed up.
    """
    life = _life(hub, manager)
    places = {name: _place(name, hub, life, settings) for name in KNOWN}
    found = {
        name: place
        for name, (place, _) in places.items()
        if isinstance(place, Server) or place.exists()
    }
    for name, place in found.items():
        if isinstance(place, Path) and not place.is_file():
            raise DatabaseMissing(
                f"{place} is no file, so it cannot be the hub's database {name!r}. "
                "Nothing was changed.",
                hint=f"Move it away; or, if the database lies elsewhere, {_name_it(name)}",
            )
    needed = {name for name, (_, named) in places.items() if named} | {REQUIRED}
    for name in sorted(needed - set(found)):
        raise DatabaseMissing(
            f"The hub's database {name!r} is not at {places[name][0]}. Nothing was changed.",
            hint=f"If it lies elsewhere, {_name_it(name)}",
        )
    return found


def copy(database: Database, target: Path) -> None:
    """Write an intact copy, or a dump, of a database to ``target``.

    Raises what `sqlite_copy.copy` and `postgres_dump.dump` raise, and `DatabaseDamaged` for an
    empty file: a full disk can leave one, and SQLite considers it valid.
    """
    if isinstance(database, Server):
        rows = postgres_dump.dump(database, target).rows
    else:
        sqlite_copy.copy(database, target)
        rows = sqlite.rows(target)
    if not rows:
        target.unlink()
        raise DatabaseDamaged(
            f"{database} is empty: it holds no table at all. Nothing was changed.",
            hint="Leave it as it is, and follow RESTORE.md in the newest sound snapshot. "
            "To list them: tljh-runbook snapshots",
        )


def at(address: str, name: str, directory: Path) -> Database:
    """Return the database at a path or a SQLAlchemy URL.

    Raises `DatabaseForeign` for kinds that cannot be backed up; its message never shows the
    address, which may contain a password.
    """
    if "://" not in address:  # JupyterHub treats a bare name as a file
        return directory / address
    kind, _, rest = address.partition("://")
    dialect = kind.split("+")[0]
    if dialect in postgres_address.SCHEMES:
        return postgres_address.parse(f"postgresql://{rest}")
    if dialect == "sqlite" and (path := unquote(urlsplit(address).path[1:])):
        return directory / path
    raise DatabaseForeign(
        f"The database {name!r} is neither a SQLite file nor PostgreSQL but "
        f"{dialect if dialect.isalnum() else 'of an unknown kind'}. Nothing was changed.",
        hint="It cannot be kept so far: back it up with its own tools, and keep the other "
        "components by name: tljh-runbook backup config plugin",
    )


def _life(hub: Hub, manager: Services) -> _Life:
    pid, declared = manager.pid(services.HUB), manager.declared(services.HUB)
    if pid:
        directory = processes.working_directory(pid) or hub.state
        # For a few milliseconds after a start the process is still systemd's own, in "/".
        if directory != Path("/") or declared.directory is None:
            return _Life(pid, directory, processes.environment(pid))
    return _Life(None, declared.directory or hub.state, declared.environment)


def _place(name: str, hub: Hub, life: _Life, settings: Settings) -> tuple[Database, bool]:
    """Return where a database is, and whether an administrator has set that location."""
    file, variable = KNOWN[name]
    usual = life.directory / file
    url = settings.databases.get(name) or life.environment.get(variable or "")
    if url:
        return at(url, name, life.directory), name in settings.databases
    if name == REQUIRED:
        told = db_url.told(hub, processes.command_line(life.pid) if life.pid else [])
        if told:
            return _told(told, name, life), True
    return (_opened(life.pid, usual, name) if life.pid else usual), False


def _told(told: db_url.Told, name: str, life: _Life) -> Database:
    if told.url is not None:
        return at(told.url, name, life.directory)
    held = _held(life.pid) if life.pid else []
    if len(held) == 1:
        return held[0]
    raise DatabaseMissing(
        f"Where the hub's database {name!r} lies cannot be told: {told.where}, computes it. "
        "Nothing was changed.",
        hint=_name_it(name).capitalize(),
    )


def _name_it(name: str) -> str:
    return f"name its path or address in the settings file: databases: {{{name}: /path/to/file}}"


def _opened(pid: int, usual: Path, name: str) -> Path:
    """Return ``usual``, or the database that the hub's processes hold open instead."""
    # Users' servers may be children, too, and can open files of any name.
    own = [
        each for each in processes.children(pid) if processes.owner(each) == processes.owner(pid)
    ]
    opened = {path for each in own for path in processes.open_files(each)}
    same_name = sorted(path for path in opened if path.name == usual.name)
    if usual not in opened and len(same_name) == 1:
        return same_name[0]
    if name != REQUIRED or usual in opened:
        return usual
    held = _held(pid)
    if not held:
        _refuse_server(pid, usual)
    return held[0] if len(held) == 1 else usual


def _refuse_server(pid: int, usual: Path) -> None:
    """Raise `DatabaseMissing` if the hub is connected to a database server, not using its file."""
    for port in processes.peers(pid) & SERVERS.keys():
        raise DatabaseMissing(
            f"The hub talks to a {SERVERS[port]} server and does not hold {usual} open, which may "
            "be left from before. Nothing was changed.",
            hint=f"{_name_it(REQUIRED).capitalize()}, or a postgresql:// address in its place",
        )


def _held(pid: int) -> list[Path]:
    """Return the files that the hub's main process holds open and that are hub databases."""
    return sorted(path for path in processes.open_files(pid) if _is_hubs(path))


def _is_hubs(path: Path) -> bool:
    with suppress(RunbookError, OSError):
        return path.is_file() and set(sqlite.rows(path)) >= HUB_TABLES
    return False
