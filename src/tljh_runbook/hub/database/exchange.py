"""Restoring SQLite databases in place; the hub's own database retains the running servers.

A hub deletes the proxy route of each server that is not in its database. So a database that is
older than a server would disconnect its user, while the server itself keeps running.
"""

from __future__ import annotations

import os
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from tljh_runbook.errors import RunbookError
from tljh_runbook.hub.database import replacement, running_servers, sqlite
from tljh_runbook.hub.snapshots import exchange
from tljh_runbook.hub.snapshots.exchange import Place
from tljh_runbook.hub.snapshots.manifest import Entry
from tljh_runbook.hub.snapshots.restoration import Action, Restoration

NAMED = 5  # users that a message names; it only counts the rest


def actions(
    restoration: Restoration, entries: Iterable[Entry], own: str | None
) -> Iterator[Action]:
    """Yield an action for each SQLite database that differs from the saved one.

    ``own`` is the path of the hub's own database, if that is a file.
    """
    return exchange.actions_of(
        (_HubDatabase if each.origin == own else _Database)(restoration, each)
        for each in entries
        if each.origin is not None
    )


class _Database(Place):
    """A SQLite database and its place, including the files that SQLite has beside it."""

    beside = sqlite.BESIDE

    def stage(self) -> None:
        # An interrupted run may have left the journal of another copy.
        sqlite.remove(self._staged)
        super().stage()

    def discard(self) -> None:
        sqlite.remove(self._staged)
        super().discard()

    def _replace(self, new: Path) -> None:
        replacement.replace(self.target, new)

    def _return(self, replaced: Path) -> None:
        if replacement.fold(replaced):
            self._replace(exchange.stage_copy(replaced, self.target))
            return
        # It is unreadable. The file goes first, or its log would damage the new one.
        for live in self._names():
            other = exchange.kept(self._restoration.replaced, live)
            if os.path.lexists(other):
                exchange.copy_file(other, live)


class _HubDatabase(_Database):
    """The hub's own database."""

    def after(self) -> str:
        """Name the servers started since the snapshot; warn if they cannot be added."""
        try:
            started, unfit = self._compared()
        except (sqlite3.Error, RunbookError, OSError):  # missing, unreadable, or no space
            return super().after()
        if unfit:
            self._restoration.notes.append(
                f"Started since the snapshot: the servers of {_named(started)}. They run on, but "
                "the restored hub will not know them. Let their owners save their work and stop "
                "them first."
            )
        with_them = f", with the servers that {_named(started)} started since"
        return super().after() + (with_them if started and not unfit else "")

    def exchange(self) -> None:
        self._keep()
        if replacement.fold(self.target):
            self._enter_servers()
        self._replace(self._staged)

    def _compared(self) -> tuple[list[str], str]:
        """Return the servers started since the snapshot, and why they cannot be added."""
        with tempfile.TemporaryDirectory() as folder:  # SQLite writes beside the file it reads
            saved = Path(folder) / "saved"
            exchange.write_copy(self._restoration.kept.path / self._entry.path, saved, self._entry)
            started = running_servers.started_since(saved, self.target)
            unfit = running_servers.unfit(saved, self.target)
        return [each.label for each in started], unfit

    def _enter_servers(self) -> None:
        """Add the running servers; restore the database as it was saved if that fails."""
        try:
            running_servers.enter(self._staged, self.target)
        except (sqlite3.Error, RunbookError):  # the preview named them; they do not block a restore
            self.stage()


def _named(labels: list[str]) -> str:
    more = f" and {len(labels) - NAMED} more" if len(labels) > NAMED else ""
    return ", ".join(labels[:NAMED]) + more
