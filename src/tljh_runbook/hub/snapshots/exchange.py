"""Restore of files: staged next to their target, swapped in while the hub is stopped."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from tljh_runbook.errors import RestoreFailed, SnapshotDamaged
from tljh_runbook.hub.core import files
from tljh_runbook.hub.core.layout import Hub
from tljh_runbook.hub.snapshots.manifest import Entry
from tljh_runbook.hub.snapshots.restoration import Action, Restoration

STAGED = ".tljh-runbook-restore"


def actions(restoration: Restoration, entries: Iterable[Entry]) -> Iterator[Action]:
    """Yield an action for each file that differs from the snapshot."""
    return actions_of(Place(restoration, each) for each in entries if each.origin is not None)


def actions_of(places: Iterable[Place]) -> Iterator[Action]:
    """Yield an action for each place whose content differs from the snapshot."""
    for place in places:
        before = place.before()
        if before:
            yield Action(
                what=str(place.target),
                before=before,
                after=place.after(),
                prepare=place.stage,
                discard=place.discard,
                carry_out=place.exchange,
                undo=place.put_back,
                stopped=True,
            )


class Place:
    """One file of a snapshot and its path on the hub."""

    beside: tuple[str, ...] = ()
    """The suffixes of files that belong to this one."""

    def __init__(self, restoration: Restoration, entry: Entry) -> None:
        self._restoration = restoration
        self._entry = entry
        self.target = Path(entry.origin or "")
        self._staged = staged_name(self.target)
        self._made: list[Path] = []

    def before(self) -> str:
        """Return how the live file differs from the saved one, or an empty string."""
        try:
            size, sha = files.digest(self.target)
            status = self.target.lstat()
        except FileNotFoundError:
            return "missing"
        except OSError as error:
            if error.errno in {errno.ELOOP, errno.EINVAL, errno.ENOTDIR, errno.ENXIO}:
                return "not a file"
            raise
        if (size, sha) != (self._entry.size, self._entry.sha256) or self._has_more():
            return "differs"
        owner = (status.st_uid, status.st_gid, status.st_mode & 0o7777)
        wanted = (self._entry.uid, self._entry.gid, self._entry.mode)
        return "" if owner == wanted else "another owner or mode"

    def after(self) -> str:
        """Describe in a few words what the file is after the restore."""
        return "as kept"

    def _has_more(self) -> bool:
        """Return whether a file that belongs to this one holds changes not yet written to it."""
        return any(path.lstat().st_size for path in self._live()[1:])

    def stage(self) -> None:
        """Write the saved file next to its target, and verify it.

        Raises `RestoreFailed` if the target is a folder.
        """
        if self.target.is_dir() and not self.target.is_symlink():
            raise RestoreFailed(
                f"{self.target} is a folder, where a file was kept. Nothing was changed.",
                hint="Move that folder away, and restore again.",
            )
        self._make_parents()
        self._staged.unlink(missing_ok=True)
        origin = self._restoration.kept.path / self._entry.path
        write_copy(origin, self._staged, self._entry)

    def discard(self) -> None:
        """Remove the staged file and the folders created for it."""
        self._staged.unlink(missing_ok=True)
        for folder in reversed(self._made):
            try:
                folder.rmdir()
            except OSError:  # not empty any more
                return

    def exchange(self) -> None:
        """Back up the live file, then move the staged file into place."""
        self._keep()
        self._replace(self._staged)

    def put_back(self) -> None:
        """Move the replaced file back into place."""
        replaced = kept(self._restoration.replaced, self.target)
        if os.path.lexists(replaced):
            self._return(replaced)
        elif not self._staged.exists():  # there was no file before the restore
            self.target.unlink(missing_ok=True)
        files.sync_folder(self.target.parent)

    def _keep(self) -> None:
        for live in self._live():
            keep(self._restoration.replaced, live)

    def _replace(self, new: Path) -> None:
        new.replace(self.target)
        files.sync_folder(self.target.parent)

    def _return(self, replaced: Path) -> None:
        self._replace(stage_copy(replaced, self.target))

    def _names(self) -> list[Path]:
        return [self.target.with_name(f"{self.target.name}{end}") for end in ("", *self.beside)]

    def _live(self) -> list[Path]:
        return [path for path in self._names() if os.path.lexists(path)]

    def _make_parents(self) -> None:
        # TLJH's own folders are private to root; folders elsewhere must be accessible to others.
        hub = self._restoration.source.hub
        mode = 0o700 if self.target.is_relative_to(hub.prefix) else 0o755
        for parent in reversed(self.target.parents):
            if not parent.exists():
                parent.mkdir(mode=folder_mode(hub, parent, mode))
                self._made.append(parent)


def folder_mode(hub: Hub, folder: Path, usual: int) -> int:
    """Return the mode for a new folder; the prefix itself is readable by everyone."""
    return 0o755 if folder == hub.prefix else usual


def write_copy(origin: Path, target: Path, entry: Entry) -> None:
    """Copy a checksummed file with owner, mode and mtime, flush it to disk and verify it.

    Raises `SnapshotDamaged` if the checksum does not match.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with (
        os.fdopen(files.open_regular(origin), "rb") as read,
        os.fdopen(os.open(target, flags, 0o600), "wb") as write,
    ):
        shutil.copyfileobj(read, write, files.CHUNK)
        write.flush()
        status = os.fstat(write.fileno())
        if (status.st_uid, status.st_gid) != (entry.uid, entry.gid):
            os.fchown(write.fileno(), entry.uid, entry.gid)
        os.fchmod(write.fileno(), entry.mode)
        os.utime(write.fileno(), ns=(entry.mtime_ns, entry.mtime_ns))
        os.fsync(write.fileno())
    if files.digest(target) != (entry.size, entry.sha256):
        target.unlink()
        raise SnapshotDamaged(
            f"{origin} is not as it was sealed. Nothing was changed.",
            hint="Choose another of the snapshots: tljh-runbook snapshots",
        )


def keep(replaced: Path, live: Path) -> None:
    """Copy ``live`` to the folder ``replaced``, under its whole path, and flush it to disk.

    Raises `RestoreFailed` if there is a copy already: it is never overwritten.
    """
    target = kept(replaced, live)
    if os.path.lexists(target):
        raise RestoreFailed(
            f"{target} is there already; {live} was not replaced.",
            hint="Wait a second and restore again: what was restored so far is left as it is.",
        )
    files.make_private(target.parent)
    copy_file(live, target)


def kept(replaced: Path, live: Path) -> Path:
    """Return the path of the copy of ``live`` in the folder ``replaced``."""
    return replaced / str(live).lstrip("/")


def copy_file(origin: Path, target: Path) -> None:
    """Copy a file, or a link as a link, with mode, owner and times; atomic and flushed to disk."""
    stage_copy(origin, target).replace(target)
    files.sync_folder(target.parent)


def staged_name(target: Path) -> Path:
    """Return the path, on the same disk, of the staged copy of ``target``."""
    return target.with_name(f".{target.name}{STAGED}")


def stage_copy(origin: Path, target: Path) -> Path:
    """Copy a file as `copy_file` does, but leave it staged; return its path."""
    new = staged_name(target)
    new.unlink(missing_ok=True)
    shutil.copy2(origin, new, follow_symlinks=False)
    status = origin.lstat()
    os.chown(new, status.st_uid, status.st_gid, follow_symlinks=False)
    if not new.is_symlink():
        with new.open("rb") as written:
            os.fsync(written.fileno())
    return new
