"""The hub's databases: users and tokens, the plugin's permissions, the environments' builds."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from tljh_runbook.hub import databases, exchange, sqlite
from tljh_runbook.hub.capture import Folder
from tljh_runbook.hub.manifest import Manifest
from tljh_runbook.hub.restoration import Action, Restoration
from tljh_runbook.hub.source import Source

BESIDE = ("-journal", "-wal", "-shm")  # what SQLite keeps beside a database file


class Database:
    """Consistent copies of every SQLite database of the hub, while the hub runs."""

    name = "database"
    title = "Database"
    order = 50
    kept = (
        "a consistent copy of every database of the hub: users, groups, tokens and servers; the "
        "plugin's permissions; the builds of the environments",
    )
    left_out = (
        (
            "the copies `jupyterhub.sqlite.<time>` that the hub makes when it migrates",
            "They are backups themselves, and after a full disk they can be cut short.",
        ),
    )

    def size(self, source: Source) -> int:
        found = databases.find(source.hub, source.services, source.settings)
        # Beside the copy, WAL content is folded in and checked: twice the size is safe.
        return 2 * sum(_bytes(path) for path in found.values())

    def capture(self, source: Source, folder: Folder) -> dict[str, Any]:
        found = databases.find(source.hub, source.services, source.settings)
        return {name: self._keep(name, path.resolve(), folder) for name, path in found.items()}

    def give_back(self, restoration: Restoration) -> Iterable[Action]:
        entries = restoration.entries(self.name)
        return exchange.actions(restoration, entries, beside=BESIDE)

    def by_hand(self, manifest: Manifest) -> Iterable[str]:
        for entry in manifest.of(self.name):
            yield from _give_back(entry.path, entry.origin or "", entry.mode, entry.uid, entry.gid)

    def _keep(self, name: str, path: Path, folder: Folder) -> dict[str, Any]:
        taken = any(entry.path == f"{self.name}/{path.name}" for entry in folder.entries)
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


def _bytes(path: Path) -> int:
    wal = path.with_name(f"{path.name}-wal")
    return path.stat().st_size + (wal.stat().st_size if wal.exists() else 0)


def _give_back(path: str, origin: str, mode: int, uid: int, gid: int) -> Iterator[str]:
    beside = " ".join(shlex.quote(f"{origin}{end}") for end in BESIDE)
    yield f"rm -f {beside}"
    yield (f"install -m {mode:04o} -o {uid} -g {gid} {shlex.quote(path)} {shlex.quote(origin)}")


COMPONENT = Database()
