"""A snapshot in progress: its component folders, and its path until it is complete."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tljh_runbook.hub.context import Source
from tljh_runbook.hub.core import files
from tljh_runbook.hub.core.layout import Hub
from tljh_runbook.hub.snapshots import manifest_checks
from tljh_runbook.hub.snapshots.manifest import Entry

PARTIAL = ".partial-"
Say = Callable[[str], None]


@dataclass
class Folder:
    """The folder of one component in a snapshot in progress."""

    snapshot: Path
    component: str
    hub: Hub
    kept_as: str
    """The name of the snapshot once it is complete and checksummed."""
    alone: bool = False
    """Whether this is the only requested component, so that without it there is no snapshot."""
    say: Say = lambda _: None
    entries: list[Entry] = field(default_factory=list)
    unread: dict[str, str] = field(default_factory=dict)
    """What should be here but could not be read, and why."""

    def place(self, name: str) -> Path:
        """Return the path for the file ``name`` and create its folders."""
        path = self.snapshot / self.component / name
        for parent in reversed(path.relative_to(self.snapshot).parents):
            # mkdir(parents=True) would apply the mode to the last folder only.
            (self.snapshot / parent).mkdir(mode=0o700, exist_ok=True)
        return path

    def copy(self, origin: Path, name: str) -> None:
        """Save a copy of the small file ``origin``, or note that it can't be read.

        Raises `FileNotFoundError` if it is gone, `PermissionError` if root could read it.
        """
        try:
            data, status = files.steady(origin)
        except OSError as error:
            self.cannot_read(origin, error)
            return
        files.write_new(self.place(name), data)
        self.record(name, origin, status)

    def cannot_read(self, origin: Path, error: OSError) -> None:
        """Note what can't be read; raise ``error`` if it is gone or root could read it."""
        if isinstance(error, FileNotFoundError):
            raise error
        if isinstance(error, PermissionError) and os.geteuid() != 0:
            raise error
        self.unread[str(origin)] = error.strerror or str(error)

    def write(self, name: str, text: str) -> None:
        """Save a text that is not a file on the hub."""
        files.write_new(self.place(name), text.encode())
        self.record(name, None, self.place(name).stat())

    def record(self, name: str, origin: Path | None, status: os.stat_result) -> None:
        """Add the file at ``place(name)`` to the entries, with the mode and owner of its origin."""
        path = f"{self.component}/{name}"
        size, sha = files.digest(self.snapshot / path)
        self.entries.append(
            Entry(
                path=path,
                component=self.component,
                origin=str(origin) if origin else None,
                size=size,
                sha256=sha,
                mode=status.st_mode & manifest_checks.FILE_MODE,
                uid=status.st_uid,
                gid=status.st_gid,
                mtime_ns=status.st_mtime_ns,
            )
        )


def forget_partial(source: Source) -> None:
    """Remove what a killed run left; the hub's lock ensures that no run is active."""
    for left in source.backups.glob(f"{_prefix(source)}*"):
        shutil.rmtree(left)


def partial_place(source: Source, name: str) -> Path:
    """Return the path at which the snapshot ``name`` is assembled."""
    return source.backups / f"{_prefix(source)}{name}"


def _prefix(source: Source) -> str:
    """Return the name prefix of this hub's unfinished snapshots; hubs may share the folder."""
    return f"{PARTIAL}{hashlib.sha256(bytes(source.hub.prefix)).hexdigest()[:8]}-"


def bring_to_disk(partial: Path) -> None:
    """Flush all folder entries of an unfinished snapshot to disk."""
    for folder, _, _ in os.walk(partial):
        files.sync_folder(Path(folder))
