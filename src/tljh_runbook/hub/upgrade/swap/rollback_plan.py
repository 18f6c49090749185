"""The way back from an upgrade: what was exchanged, and how it is exchanged again.

It can be gone as often as needed: each part looks whether it was done already.
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

PAUSE = 1.0  # seconds between two questions to a database that does not answer
Phase = Callable[[str], None]


@dataclass(frozen=True)
class Way:
    """What is needed to go back.

    ``folder`` holds the old environments by name and, in a folder of its own, the old files and
    databases; ``environments`` are the inodes of the old and of the new one, by which each is known
    wherever it lies.
    """

    folder: str
    environments: dict[str, tuple[int, int]]
    files: dict[str, bool] = field(default_factory=dict)
    """Every live file that may be changed, and whether there was one."""
    databases: dict[str, str] = field(default_factory=dict)
    """Every database that is a file, by name, and where it is."""
    servers: list[str] = field(default_factory=list)
    """The names of those that lie on a PostgreSQL server. Where that is, is asked each time: an
    address may hold a password."""
    proxy: bool = False
    """Whether the proxy is started again."""
    config: str = ""
    """The settings as the upgrade has left them: who edits them later is not overruled. Nothing
    while they may be half written."""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @property
    def kept(self) -> Path:
        return Path(self.folder) / KEPT

    def old(self, live: str) -> Path:
        """Return where the old version of a live file is kept."""
        return self.kept / "files" / live.lstrip("/")

    def database(self, name: str) -> Path:
        """Return where a database is kept as it was before the upgrade."""
        return self.kept / "databases" / name


def keep_files(way: Way) -> None:
    """Keep every live file that may be changed, on the disk."""
    for live, present in way.files.items():
        if present:
            files.make_private(way.old(live).parent)
            exchange.copy_file(Path(live).resolve(), way.old(live))


def keep_databases(way: Way) -> None:
    """Keep the databases; best while the hub is stopped, then nothing is missing from them."""
    files.make_private(way.kept / "databases")
    for name, live in way.databases.items():
        _keep_database(Path(live), way.database(name))


def keep_dumps(source: Source, way: Way) -> None:
    """Keep a dump of each database that lies on a PostgreSQL server."""
    for name, server in servers(source, way).items():
        dumps.keep(server, way.database(name))


def servers(source: Source, way: Way) -> dict[str, Server]:
    """Return where the databases lie that are on PostgreSQL servers. Raises `DatabaseMissing`."""
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
    """Bring everything back to how it was before the upgrade; the hub is stopped meanwhile.

    Returns the databases that were put back, because they had been migrated. Raises
    `ServicesUnreachable`, `NoSpace`, `DiskFailed`; then it can be gone again.
    """
    manager = source.services
    known = None
    with suppress(DatabaseMissing):  # a hub that runs tells more of where its databases lie
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
    if not interpreter.gone(source.hub):  # else it did not run before either
        manager.start(services.HUB)
    return returned


def go_stopped(source: Source, way: Way) -> None:
    """Bring everything back as `go` does, while neither the hub nor its proxy runs; start nothing.

    A server that starts waits for it: nothing may be stopped or started here. PostgreSQL may not
    run yet: its databases come back when the upgrade is brought to its end. Raises what `go` does.
    """
    _return_all(source, way)


def _return_dumps(
    source: Source, way: Way, known: dict[str, Server] | None, phase: Phase
) -> list[str]:
    """Put the databases on PostgreSQL servers back that were migrated; return their names.

    A server that does not answer is waited for: after a power cut it may be starting, too.
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
    """Bring back environments, databases and files; return the databases that had been migrated."""
    with files.disk_errors(source.hub.prefix, "The way back was not gone to its end."):
        bring(source.hub, way, OLD)
        try:
            return _return_rest(source, way)
        except (NoSpace, OSError):
            environment_swap.forget_newer(Path(way.folder), way.environments)  # that makes room
            return _return_rest(source, way)


def _return_rest(source: Source, way: Way) -> list[str]:
    returned = [name for name in way.databases if return_database(way, name)]
    _return_files(source, way)
    return returned


def migrated_databases(source: Source, way: Way) -> set[str]:
    """Return the databases that going back would put back. Raises `DatabaseMissing`."""
    on_servers = servers(source, way).items()
    return {name for name in way.databases if migrated(way, name)} | {
        name for name, server in on_servers if dumps.migrated(server, way.database(name))
    }


def migrated(way: Way, name: str) -> bool:
    """Say whether a database has another schema than the one that was kept."""
    kept, live = way.database(name), Path(way.databases[name])
    return kept.exists() and live.exists() and _schema(kept) != _schema(live)


def _schema(path: Path) -> list[tuple[Any, ...]]:
    found = sql.query(path, "SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY 1, 2, 3")
    return [*found, (sqlite.revision(path),)]


def return_database(way: Way, name: str) -> bool:
    """Put a database back when it was migrated: the old version cannot read it any more."""
    if not migrated(way, name):
        return False
    live = Path(way.databases[name])
    newer = way.kept / "newer" / name
    files.make_private(newer.parent)
    _keep_database(live, newer)  # each time: a hub may have run since a rollback was cut off
    replacement.replace(live, exchange.stage_copy(_told_of_servers(way, name, newer), live))
    return True


def _told_of_servers(way: Way, name: str, newer: Path) -> Path:
    """Return the old database, told of the servers that were started since where that can be."""
    if name != databases.REQUIRED:
        return way.database(name)
    told = way.kept / "told" / name
    files.make_private(told.parent)
    sqlite.remove(told)  # with the journal that a cut may have left: it is of another copy
    exchange.copy_file(way.database(name), told)
    try:
        running_servers.enter(told, newer)
    except (sqlite3.Error, RunbookError):  # the preview names them; the way back waits for none
        return way.database(name)
    return told


def bring(hub: Hub, way: Way, which: int) -> None:
    """Bring the `OLD` environments or the `NEW` ones to their place, if they are not there."""
    environment_swap.bring(hub.prefix, Path(way.folder), way.environments, which)


def _return_files(source: Source, way: Way) -> None:
    """Put the files back, and let the service manager read those of its own."""
    for live, present in way.files.items():
        return_file(source.hub, way, live, present=present)
    if source.services.stale() or source.settings.services == "supervisor":
        source.services.reload()


def return_file(hub: Hub, way: Way, live: str, *, present: bool) -> None:
    """Bring a live file back to how it was; what was edited in the settings since then stays."""
    path = Path(live)
    if not present:
        path.unlink(missing_ok=True)
    elif path == hub.config_file and way.config:
        old = files.read(way.old(live)).decode()
        merge.write(hub, way.config, old)
    elif not path.exists() or files.digest(path) != files.digest(way.old(live)):
        exchange.copy_file(way.old(live), path.resolve())


def config_text(hub: Hub) -> str:
    """Return the settings as they are written; nothing where there are none."""
    if not hub.config_file.exists():
        return ""
    return files.read(hub.config_file.resolve()).decode()
