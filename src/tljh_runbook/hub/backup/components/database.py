"""The hub's databases: users and tokens, the plugin's permissions, environment builds."""

from __future__ import annotations

import shlex
import tempfile
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from tljh_runbook.errors import (
    Busy,
    DatabaseDamaged,
    DatabaseMissing,
    RestoreFailed,
    RunbookError,
)
from tljh_runbook.hub.backup.components import HUB
from tljh_runbook.hub.context import Source
from tljh_runbook.hub.core import files
from tljh_runbook.hub.database import (
    databases,
    exchange,
    postgres_address,
    postgres_dump,
    sql,
    sqlite,
    sqlite_copy,
)
from tljh_runbook.hub.database.postgres_address import Server
from tljh_runbook.hub.snapshots import inventory
from tljh_runbook.hub.snapshots.draft import Folder
from tljh_runbook.hub.snapshots.manifest import Entry, Manifest
from tljh_runbook.hub.snapshots.restoration import Action, Restoration

DUMP = ".pgdump"
SECRET = ".pgpass"  # noqa: S105 - how the file's name ends


class Database:
    """Consistent copies of every database of the hub, made while the hub runs."""

    name = "database"
    title = "Database"
    order = 50
    downtime = HUB
    kept = (
        "a consistent copy of every database of the hub: users, groups, tokens and servers; the "
        "plugin's permissions; the builds of the environments",
        "a consistent copy of every other SQLite file in `state/` and `config/`, whatever its "
        "name, such as `passwords.dbm`",
        "of a database on a PostgreSQL server a dump, its address and its password",
    )
    left_out = (
        (
            "the copies `jupyterhub.sqlite.<time>` that the hub makes when it migrates",
            "They are backups themselves, and after a full disk they can be cut short.",
        ),
        (
            "the PostgreSQL server itself: its roles, its settings, its other databases",
            "They belong to whoever runs that server; the hub's role and an empty database must "
            "be there before a dump is restored.",
        ),
    )

    def size(self, source: Source) -> int:
        found = databases.find(source.hub, source.services, source.settings)
        # Merging the WAL into a copy and checking it needs more space: twice the size is safe.
        others = _others(source, found)
        logs = [sqlite.beside(path, "-wal") for path in others]
        return 2 * (sum(map(sql.size, found.values())) + sum(map(files.size, [*others, *logs])))

    def capture(self, source: Source, folder: Folder) -> dict[str, Any]:
        found = databases.find(source.hub, source.services, source.settings)
        kept = {
            name: _dumped(name, place, folder)
            if isinstance(place, Server)
            else _copied(name, place.resolve(), folder)
            for name, place in found.items()
        }
        for path, name in _others(source, found).items():
            kept |= _other(path, name, folder)
        return kept

    def restore(self, restoration: Restoration) -> Iterable[Action]:
        known = restoration.kept.manifest.components[self.name]
        own = known.get(databases.REQUIRED, {}).get("origin")
        yield from exchange.actions(restoration, restoration.entries(self.name), own)
        for name, about in known.items():
            if "variables" in about and not restoration.paths:
                yield from _server_action(restoration, name, about)

    def by_hand(self, manifest: Manifest) -> Iterable[str]:
        for entry in manifest.of(self.name):
            if entry.origin:
                yield from _give_back(entry, entry.origin)
        for name, about in manifest.components[self.name].items():
            if "variables" in about:
                secret = any(each.path == _file(name, SECRET) for each in manifest.of(self.name))
                yield from _restore_line(name, about, secret=secret)


def _copied(name: str, path: Path, folder: Folder) -> dict[str, Any]:
    taken = any(entry.path == f"{folder.component}/{path.name}" for entry in folder.entries)
    file = f"{name}-{path.name}" if taken else path.name
    target = folder.place(file)
    status = path.stat()
    databases.copy(path, target)
    folder.record(file, path, status)
    return {
        "origin": str(path),
        "revision": sqlite.revision(target),
        "rows": sqlite.rows(target),
    }


def _others(source: Source, found: dict[str, sql.Database]) -> dict[Path, str]:
    """Return the SQLite files in ``state/`` and ``config/`` that are not in ``found``."""
    known = {place.resolve() for place in found.values() if isinstance(place, Path)}
    there = inventory.of(source.hub).databases
    return {path: name for path, name in there.items() if path.resolve() not in known}


def _other(path: Path, name: str, folder: Folder) -> dict[str, Any]:
    """Copy an optional SQLite file; return its details for the manifest."""
    target = folder.place(name)
    try:
        status = path.stat()
        sqlite_copy.copy(path, target)
    except FileNotFoundError:
        return {}
    except (DatabaseMissing, DatabaseDamaged, Busy) as error:
        if path.exists():
            folder.unread[str(path)] = error.message
        return {}
    folder.record(name, path, status)
    return {name: {"origin": str(path), **_content(target)}}


def _content(path: Path) -> dict[str, Any]:
    try:
        return {"revision": sqlite.revision(path), "rows": sqlite.rows(path)}
    except RunbookError:  # intact, but its tables need a SQLite extension
        return {"revision": None, "rows": {}}


def _dumped(name: str, server: Server, folder: Folder) -> dict[str, Any]:
    target = folder.place(f"{name}{DUMP}")
    databases.copy(server, target)
    folder.record(target.name, None, target.stat())
    if server.password:
        folder.write(f"{name}{SECRET}", postgres_address.passfile(server))
    found = postgres_dump.contents(target)
    return {
        "origin": str(server),
        "variables": server.variables,
        "revision": found.revision,
        "rows": found.rows,
    }


def _server_action(restoration: Restoration, name: str, about: dict[str, Any]) -> Iterator[Action]:
    server = _target(restoration, name, about)
    dump = restoration.kept.path / _file(name, DUMP)
    if not _same(server, dump):
        yield Action(
            what=str(server),
            before="differs",
            after="as kept",
            carry_out=partial(_exchange, restoration, name, server, dump),
            undo=partial(_put_back, restoration, name, server),
            stopped=True,
        )


def _target(restoration: Restoration, name: str, about: dict[str, Any]) -> Server:
    """Return the server in the settings, otherwise the one that was dumped."""
    source = restoration.source
    named = source.settings.databases.get(name)
    place = databases.at(named, name, source.hub.state) if named else None
    if isinstance(place, Server):
        return place
    return postgres_address.kept(about["variables"], restoration.kept.path / _file(name, SECRET))


def _same(server: Server, dump: Path) -> bool:
    with tempfile.TemporaryDirectory() as folder:
        now = postgres_dump.dump(server, Path(folder) / "now")
    return now.sha256 == postgres_dump.contents(dump).sha256


def _exchange(restoration: Restoration, name: str, server: Server, dump: Path) -> None:
    """Save a dump of the current database, then restore the one from the snapshot."""
    target = restoration.replaced / _file(name, DUMP)
    files.make_private(target.parent)
    if target.exists():
        raise RestoreFailed(
            f"{target} is there already; {server} was not replaced.",
            hint="Wait a second and restore again: what was restored so far is left as it is.",
        )
    postgres_dump.dump(server, target)
    files.sync_folder(target.parent)
    postgres_dump.restore(server, dump)


def _put_back(restoration: Restoration, name: str, server: Server) -> None:
    """Restore the dump of the replaced database, if there is one."""
    kept = restoration.replaced / _file(name, DUMP)
    if kept.exists():
        postgres_dump.restore(server, kept)


def _file(name: str, end: str) -> str:
    return f"{Database.name}/{name}{end}"


def _give_back(entry: Entry, origin: str) -> Iterator[str]:
    place, aside = shlex.quote(origin), shlex.quote(f"{origin}.replaced")
    yield f"(umask 077; mkdir -p {shlex.quote(str(Path(origin).parent))})"
    # Also move SQLite's WAL and journal files, after the database, so that no data is lost.
    yield (
        f"for end in '' {' '.join(sqlite.BESIDE)}; do test ! -e {place}$end || "
        f"mv --backup=numbered {place}$end {aside}$end; done"
    )
    yield entry.install_line


def _restore_line(name: str, about: dict[str, Any], *, secret: bool) -> Iterator[str]:
    variables = [f"{key}={shlex.quote(value)}" for key, value in about["variables"].items()]
    if secret:
        variables.append(f'PGPASSFILE="$PWD"/{_file(name, SECRET)}')
    database = shlex.quote(Server(about["variables"]).name)
    yield "# If a table cannot be dropped because a newer one depends on it, drop that one first."
    yield (
        f"{' '.join(variables)} pg_restore --clean --if-exists --no-owner --single-transaction "
        f"--exit-on-error --dbname={database} {_file(name, DUMP)}"
    )


COMPONENT = Database()
