"""The rollback plan of an upgrade: what was swapped, and how to swap it again.

It is idempotent: each step checks whether it is already done.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tljh_runbook.errors import DatabaseMissing, NoSpace, RunbookError
from tljh_runbook.hub.context import Source
from tljh_runbook.hub.core import files
from tljh_runbook.hub.core.layout import Hub
from tljh_runbook.hub.database import databases, replacement, running_servers, sql, sqlite
from tljh_runbook.hub.database.postgres_address import Server
from tljh_runbook.hub.snapshots import exchange
from tljh_runbook.hub.system import services
from tljh_runbook.hub.upgrade.stage import merge
from tljh_runbook.hub.upgrade.swap import dumps, environment_swap
from tljh_runbook.hub.upgrade.swap.environment_swap import KEPT, OLD
from tljh_runbook.hub.versions import interpreter

PAUSE = 1.0  # seconds between two attempts to reach a database
Phase = Callable[[str], None]


@dataclass(frozen=True)
class Way:
    """The rollback plan.

    ``folder`` holds the old environments by name and, in a subfolder, the old files and databases;
    ``environments`` are the inodes of the old and the new one, which identify each wherever it is
    stored.
    """

    folder: str
    environments: dict[str, tuple[int, int]]
    files: dict[str, bool] = field(default_factory=dict)
    """Every live file that may be changed, and whether it existed."""
    databases: dict[str, str] = field(default_factory=dict)
    """Every database that is a file: its path, by name."""
    servers: list[str] = field(default_factory=list)
    """The names of the databases on PostgreSQL servers. Their addresses are looked up each time,
    because an address may contain a password.
    """
    proxy: bool = False
    """Whether the proxy is restarted."""
    config: str = ""
    """The settings as the upgrade left them, so that later edits are not overwritten; empty while
    they may be half written.
    """

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @property
    def kept(self) -> Path:
        return Path(self.folder) / KEPT

    def old(self, live: str) -> Path:
        """Return the path of the saved old version of a live file."""
        return self.kept / "files" / live.lstrip("/")

    def database(self, name: str) -> Path:
        """Return the path of the saved database from before the upgrade."""
        return self.kept / "databases" / name


def keep_files(way: Way) -> None:
    """Save every live file that may be changed, synced to disk."""
    for live, present in way.files.items():
        if present:
            files.make_private(way.old(live).parent)
            exchange.copy_file(Path(live).resolve(), way.old(live))


def keep_databases(way: Way) -> None:
    """Save the databases; they are complete only if the hub is stopped."""
    files.make_private(way.kept / "databases")
    for name, live in way.databases.items():
        _keep_database(Path(live), way.database(name))


def keep_dumps(source: Source, way: Way) -> None:
    """Save a dump of each database on a PostgreSQL server."""
    for name, server in servers(source, way).items():
        dumps.keep(server, way.database(name))


def servers(source: Source, way: Way) -> dict[str, Server]:
    """Return the addresses of databases on PostgreSQL servers. Raises `DatabaseMissing`."""
    if not way.servers:
        return {}
    found = databases.find(source.hub, source.services, source.settings)
    places = {name: found.get(name) for name in way.servers}
    known = {name: place for name, place in places.items() if isinstance(place, Server)}
    for name in places.keys() - known.keys():
        raise DatabaseMissing(
            f"The database {name!r} lay on a PostgreSQL server when the upgrade began. Where it is "
            "now cannot be told.",
            hint=f"Name its address in {source.hub.settings_file}: "
            f"databases: {{{name}: postgresql://USER:PASSWORD@HOST/DATABASE}}",
        )
    return known


def _keep_database(live: Path, target: Path) -> None:
    new = target.with_name(f".{target.name}.new")
    sqlite.remove(new)
    databases.copy(live, new)
    about = live.stat()
    os.chown(new, about.st_uid, about.st_gid)
    new.chmod(about.st_mode & 0o7777)
    new.replace(target)
    files.sync_folder(target.parent)


def go(source: Source, way: Way, phase: Phase) -> list[str]:
    """Roll everything back to its state before the upgrade; the hub is down meanwhile.

    Returns the databases that were restored because they had been migrated. Raises
    `ServicesUnreachable`, `NoSpace`, `DiskFailed`; it is safe to call again then.
    """
    manager = source.services
    known = None
    with suppress(DatabaseMissing):  # a running hub can tell more about where its databases are
        known = servers(source, way)
    phase("Stop the hub")
    manager.stop(services.HUB)
    phase("Put the old environments back")
    returned = _return_all(source, way)
    if way.proxy:
        manager.end(services.PROXY)
    manager.start(services.PROXY)
    returned += _return_dumps(source, way, known, phase)
    phase("Start the hub")
    if not interpreter.gone(source.hub):  # otherwise it was down before, too
        manager.start(services.HUB)
    return returned


def go_stopped(source: Source, way: Way) -> None:
    """Roll back like `go`, while neither the hub nor its proxy runs; start nothing.

    This runs at boot, so it may not stop or start services. PostgreSQL may not run yet: its
    databases are restored when the upgrade is finished. Raises what `go` raises.
    """
    _return_all(source, way)


def _return_dumps(
    source: Source, way: Way, known: dict[str, Server] | None, phase: Phase
) -> list[str]:
    """Restore the migrated databases on PostgreSQL servers; return their names.

    Waits for a server that does not answer: after a power cut it may still be starting.
    """
    if not way.servers:
        return []
    phase("Look at the databases on the PostgreSQL server")
    deadline = time.monotonic() + source.settings.upgrade.healthy_within
    while True:
        try:
            return [
                name
                for name, server in (known or servers(source, way)).items()
                if dumps.restore(server, way.database(name), way.kept / "newer" / name)
            ]
        except RunbookError as error:
            if not isinstance(error, DatabaseMissing) or time.monotonic() > deadline:
                error.message = error.message.removesuffix(" Nothing was changed.")
                error.add(
                    "The old version is in its place, but its hub is stopped: it waits for that "
                    "database. Put this right, then: tljh-runbook resume"
                )
                raise
        time.sleep(PAUSE)


def _return_all(source: Source, way: Way) -> list[str]:
    """Restore environments, databases and files; return the databases that had been migrated."""
    with files.disk_errors(source.hub.prefix, "The way back was not gone to its end."):
        bring(source.hub, way, OLD)
        try:
            return _return_rest(source, way)
        except (NoSpace, OSError):
            environment_swap.forget_newer(Path(way.folder), way.environments)  # frees disk space
            return _return_rest(source, way)


def _return_rest(source: Source, way: Way) -> list[str]:
    returned = [name for name in way.databases if return_database(way, name)]
    _return_files(source, way)
    return returned


def migrated_databases(source: Source, way: Way) -> set[str]:
    """Return the databases that a rollback would restore. Raises `DatabaseMissing`."""
    on_servers = servers(source, way).items()
    return {name for name in way.databases if migrated(way, name)} | {
        name for name, server in on_servers if dumps.migrated(server, way.database(name))
    }


def migrated(way: Way, name: str) -> bool:
    """Return whether the schema of a database differs from the saved one."""
    kept, live = way.database(name), Path(way.databases[name])
    return kept.exists() and live.exists() and _schema(kept) != _schema(live)


def _schema(path: Path) -> list[tuple[Any, ...]]:
    found = sql.query(path, "SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY 1, 2, 3")
    return [*found, (sqlite.revision(path),)]


def return_database(way: Way, name: str) -> bool:
    """Restore a database if it was migrated: the previous version cannot read it any more."""
    if not migrated(way, name):
        return False
    live = Path(way.databases[name])
    newer = way.kept / "newer" / name
    files.make_private(newer.parent)
    _keep_database(live, newer)  # each time: the hub may have run since a rollback was cut off
    replacement.replace(live, exchange.stage_copy(_told_of_servers(way, name, newer), live))
    return True


def _told_of_servers(way: Way, name: str, newer: Path) -> Path:
    """Return the old database, with the servers started since the upgrade added if possible."""
    if name != databases.REQUIRED:
        return way.database(name)
    told = way.kept / "told" / name
    files.make_private(told.parent)
    sqlite.remove(told)  # and a journal of another copy, which a cut-off run may have left
    exchange.copy_file(way.database(name), told)
    try:
        running_servers.enter(told, newer)
    except (sqlite3.Error, RunbookError):  # the preview lists them; they must not block a rollback
        return way.database(name)
    return told


def bring(hub: Hub, way: Way, which: int) -> None:
    """Make the `OLD` or the `NEW` environments live, unless they already are."""
    environment_swap.bring(hub.prefix, Path(way.folder), way.environments, which)


def _return_files(source: Source, way: Way) -> None:
    """Restore the files, and reload the service manager if needed."""
    for live, present in way.files.items():
        return_file(source.hub, way, live, present=present)
    if source.services.stale() or source.settings.services == "supervisor":
        source.services.reload()


def return_file(hub: Hub, way: Way, live: str, *, present: bool) -> None:
    """Restore a live file; later edits in the settings are retained."""
    path = Path(live)
    if not present:
        path.unlink(missing_ok=True)
    elif path == hub.config_file and way.config:
        old = files.read(way.old(live)).decode()
        merge.write(hub, way.config, old)
    elif not path.exists() or files.digest(path) != files.digest(way.old(live)):
        exchange.copy_file(way.old(live), path.resolve())


def config_text(hub: Hub) -> str:
    """Return the text of the settings file; empty if there is none."""
    if not hub.config_file.exists():
        return ""
    return files.read(hub.config_file.resolve()).decode()
