"""A trial of every replacement that an upgrade makes, before the hub is stopped.

Each attempt is a rename that the kernel must refuse: a folder cannot replace a file, or a folder
that is not empty. Any other error would also block the upgrade, and is reported before anything has
changed.
"""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tljh_runbook.errors import ServerUnfit
from tljh_runbook.hub.context import Source
from tljh_runbook.hub.core import mounts
from tljh_runbook.hub.core.layout import ENVIRONMENTS, Hub
from tljh_runbook.hub.database import databases
from tljh_runbook.hub.upgrade.stage import managed_files

PREFIX = ".tljh-runbook-try-"
POSSIBLE = {errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR}
OTHER_DISK = "is on a file system that cannot exchange it, an overlay for example"
REASONS = {
    errno.EPERM: "is immutable, or the folder that it is in",
    errno.EROFS: "is on a disk that is mounted read-only",
    errno.EXDEV: OTHER_DISK,
    errno.EBUSY: "is mounted there",
}


def replaced(source: Source) -> list[Path]:
    """Return the files that an upgrade, or its rollback, may replace.

    Raises what `databases.find` raises.
    """
    found = databases.find(source.hub, source.services, source.settings).values()
    files = (each.resolve() for each in found if isinstance(each, Path))
    return [source.hub.config_file.resolve(), *files, *managed_files.places(source)]


def require(hub: Hub, files: Iterable[Path]) -> None:
    """Try to replace the environments and ``files``. Raises `ServerUnfit`."""
    with _folder(hub.prefix) as own:
        for folder in (hub.prefix / name for name in ENVIRONMENTS):
            if folder.is_dir():
                target = own / folder.name
                (target / "not-empty").mkdir(parents=True)
                _try(folder, target, folder)
        for file in files:
            if os.path.lexists(file) and (file.is_symlink() or not file.is_dir()):
                _try_file(own, file)


def _try_file(own: Path, file: Path) -> None:
    if mounts.is_mounted(file):
        raise _unfit(file, errno.EBUSY)
    (own / "folder").mkdir(exist_ok=True)
    try:
        _try(own / "folder", file, file)
    except ServerUnfit as error:
        if not isinstance(error.__cause__, OSError) or error.__cause__.errno != errno.EXDEV:
            raise
        with _folder(file.parent) as beside:  # it is on another disk than the hub
            _try(beside, file, file)


def _try(origin: Path, target: Path, what: Path) -> None:
    """Try a rename that ``target`` must refuse; raise `ServerUnfit` for any other error."""
    try:
        origin.rename(target)
    except PermissionError as error:
        if os.geteuid() != 0:
            raise
        raise _unfit(what, error.errno) from error
    except OSError as error:
        if error.errno not in POSSIBLE:
            raise _unfit(what, error.errno) from error
    else:
        target.rename(origin)  # the target has just been removed


@contextmanager
def _folder(parent: Path) -> Iterator[Path]:
    """Create a folder for attempts, and remove it. Raises `ServerUnfit` if it cannot be created."""
    try:
        own = Path(tempfile.mkdtemp(dir=parent, prefix=PREFIX))
    except OSError as error:
        if error.errno not in REASONS or (error.errno == errno.EPERM and os.geteuid() != 0):
            raise
        raise _unfit(parent, error.errno) from error
    try:
        yield own
    finally:
        shutil.rmtree(own, ignore_errors=True)


def _unfit(path: Path, number: int | None) -> ServerUnfit:
    why = REASONS.get(number or 0) or f"cannot be replaced ({os.strerror(number or 0)})"
    return ServerUnfit(
        f"{path} {why}: an upgrade could neither begin nor be rolled back. Nothing was changed.",
        hint=_hint(path, number),
    )


def _hint(path: Path, number: int | None) -> str:
    if number == errno.EPERM:
        return f"Allow changes: sudo chattr -i '{path}' '{path.parent}'"
    if number == errno.EROFS:
        return f"Mount it writable: sudo mount -o remount,rw '{mounts.point(path)}'"
    if number == errno.EBUSY:
        return f"Put a file with the same content in its place: sudo umount '{path}'"
    return "Move the hub to a disk of its own, with an ordinary file system such as ext4."
