"""Files restored to their place: staged beside it, exchanged while the hub is stopped."""

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
    """Yield an action for each file that is not on the hub as it was saved."""
    return actions_of(Place(restoration, each) for each in entries if each.origin is not None)


def actions_of(places: Iterable[Place]) -> Iterator[Action]:
    """Yield an action for each place where something else is than was saved."""
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
    """One file of a snapshot and its place on the hub."""

    beside: tuple[str, ...] = ()
    """The endings of files that belong to this one."""

    def __init__(self, restoration: Restoration, entry: Entry) -> None:
        self._restoration = restoration
        self._entry = entry
        self.target = Path(entry.origin or "")
        self._staged = staged_name(self.target)
        self._made: list[Path] = []

    def before(self) -> str:
        """Say how the live file differs from the kept one; nothing when it does not."""
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
        """Say in a few words what the place holds after the restore."""
        return "as kept"

    def _has_more(self) -> bool:
        """Say whether what belongs to the file holds changes that are not in it yet."""
        return any(path.lstat().st_size for path in self._live()[1:])

    def stage(self) -> None:
        """Write the kept file beside its place, whole and checked.

        Raises `RestoreFailed` when a folder is in the place.
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
        """Take away what was staged, and folders that were made for it."""
        self._staged.unlink(missing_ok=True)
        for folder in reversed(self._made):
            try:
                folder.rmdir()
            except OSError:  # something is in it by now
                return

    def exchange(self) -> None:
        """Keep what is in the place, then put the staged file there."""
        self._keep()
        self._replace(self._staged)

    def put_back(self) -> None:
        """Put what was replaced into its place again."""
        replaced = kept(self._restoration.replaced, self.target)
        if os.path.lexists(replaced):
            self._return(replaced)
        elif not self._staged.exists():  # it was restored, where nothing had been
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
        # TLJH's own folders are for root alone; what lies elsewhere must be found by others.
        hub = self._restoration.source.hub
        mode = 0o700 if self.target.is_relative_to(hub.prefix) else 0o755
        for parent in reversed(self.target.parents):
            if not parent.exists():
                parent.mkdir(mode=folder_mode(hub, parent, mode))
                self._made.append(parent)


def folder_mode(hub: Hub, folder: Path, usual: int) -> int:
    """Return the mode that a folder is made with: the prefix itself is open to everybody."""
    return 0o755 if folder == hub.prefix else usual


def write_copy(origin: Path, target: Path, entry: Entry) -> None:
    """Write a sealed file again, with owner, mode and time, on the disk and checked.

    Raises `SnapshotDamaged` when it is not as sealed.
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
    """Keep ``live`` as it is in the folder ``replaced``, under its whole path, on the disk.

    Raises `RestoreFailed` when something is kept there already: it is never overwritten.
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
    """Return where ``live`` is kept in the folder ``replaced``."""
    return replaced / str(live).lstrip("/")


def copy_file(origin: Path, target: Path) -> None:
    """Copy a file, or a link as a link, with mode, owner and times; on the disk, then renamed."""
    stage_copy(origin, target).replace(target)
    files.sync_folder(target.parent)


def staged_name(target: Path) -> Path:
    """Return where a file waits, on the same disk, that is to come to ``target``."""
    return target.with_name(f".{target.name}{STAGED}")


def stage_copy(origin: Path, target: Path) -> Path:
    """Copy a file as `copy_file` does, and leave it where it waits for its place; return where."""
    new = staged_name(target)
    new.unlink(missing_ok=True)
    shutil.copy2(origin, new, follow_symlinks=False)
    status = origin.lstat()
    os.chown(new, status.st_uid, status.st_gid, follow_symlinks=False)
    if not new.is_symlink():
        with new.open("rb") as written:
            os.fsync(written.fileno())
    return new
