"""The installation of this tool on a server: a rescue file, and a compiled copy for daily use.

Every change is one rename, and the rescue file comes first. If the installation is interrupted,
either the old copy runs or the new one; if neither is complete, the launcher uses the rescue file.
"""

from __future__ import annotations

import fcntl
import io
import os
import re
import shutil
import subprocess
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from tljh_runbook import program
from tljh_runbook.errors import Busy, NotBundled, ToolMissing
from tljh_runbook.hub.core import files
from tljh_runbook.hub.tool import launcher

PYTHON = "/usr/bin/python3"  # the one in the launcher's shebang line
BUILD = f"{__package__.partition('.')[0]}/{program.BUILD}"
COPY = re.compile(r"[0-9a-f]{12}")
NEW = ".new"
PUBLIC = 0o022  # the umask: all users may run it, only root may change it
TOO_OLD = "import sys; print(sys.implementation.cache_tag); sys.exit(sys.version_info < (3, 10))"


@dataclass(frozen=True)
class Bundle:
    """The single file that contains this program."""

    data: bytes

    @property
    def build(self) -> str:
        """The build ID of its content."""
        return self.archive.read(BUILD).decode().strip()

    @property
    def launcher(self) -> bytes:
        """The source of the command `tljh-runbook`."""
        return self.archive.read(f"{launcher.__name__.replace('.', '/')}.py")

    @property
    def archive(self) -> zipfile.ZipFile:
        """The file, opened for reading."""
        return zipfile.ZipFile(io.BytesIO(self.data))


@dataclass(frozen=True)
class Change:
    """One pending change to the installation."""

    what: str
    carry_out: Callable[[], None] = field(compare=False)


@dataclass(frozen=True)
class Place:
    """The paths of this program on a server whose files are below ``root``."""

    root: Path

    @property
    def home(self) -> Path:
        """The folder of the rescue file and the copies."""
        return self.root / "usr" / "local" / "lib" / "tljh-runbook"

    @property
    def rescue(self) -> Path:
        """The rescue file: the bundle, unchanged."""
        return self.home / launcher.RESCUE

    @property
    def current(self) -> Path:
        """The link to the copy in use."""
        return self.home / "current"

    @property
    def launcher(self) -> Path:
        """The command `tljh-runbook`."""
        return self.root / "usr" / "local" / "bin" / "tljh-runbook"


def running() -> Bundle:
    """Return the bundle that is running, or that the copy was unpacked from.

    Raises `NotBundled`.
    """
    file = program.archive()
    if file is None:
        raise NotBundled(
            "This tljh-runbook was not started from the one file that unpacks itself. "
            "Nothing was changed.",
            hint="Write that file with ./invoke bundle, and: sudo python3 FILE unpack",
        )
    try:
        found = Bundle(files.read(file.resolve()))
        same = found.build == program.build()
    except (OSError, KeyError, zipfile.BadZipFile):
        same = False
    if not same:
        raise NotBundled(
            f"The rescue file {file} is not the one that this copy was unpacked from. "
            "Nothing was changed.",
            hint="Bring tljh-runbook.pyz to this server again, and: sudo python3 FILE unpack",
        )
    return found


def changes(bundle: Bundle, place: Place) -> list[Change]:
    """Return the pending changes, without making them."""
    copy = place.home / bundle.build
    found = []
    if _content(place.rescue) != bundle.data:
        found.append(Change(str(place.rescue), partial(_put, place.rescue, bundle.data, 0o644)))
    if not (launcher.whole(copy) and _compiled(copy, _tag())):
        found.append(Change(str(copy), partial(_unpack, bundle, copy)))
    if not place.current.is_symlink() or place.current.readlink() != Path(copy.name):
        found.append(Change(str(place.current), partial(_switch, place.current, copy.name)))
    if _content(place.launcher) != bundle.launcher or not os.access(place.launcher, os.X_OK):
        put = partial(_put, place.launcher, bundle.launcher, 0o755)
        found.append(Change(str(place.launcher), put))
    return found + [Change(str(old), partial(_remove, old)) for old in _outdated(place, copy)]


def carry_out(bundle: Bundle, place: Place) -> list[Change]:
    """Make the pending changes; return them.

    Raises `Busy`, `AccessDenied`, `NoSpace`, `DiskFailed`.
    """
    before = os.umask(PUBLIC)
    try:
        with files.disk_errors(place.home, "What was unpacked before is as it was."):
            for folder in (place.home, place.launcher.parent):
                folder.mkdir(parents=True, exist_ok=True)
            with _alone(place.home):
                _clear(place)
                done = changes(bundle, place)
                for change in done:
                    change.carry_out()
                return done
    finally:
        os.umask(before)


@contextmanager
def _alone(home: Path) -> Iterator[None]:
    descriptor = os.open(home, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise Busy(
            f"Another run unpacks in {home}. Nothing was changed.",
            hint="Wait until it has ended, and run the same command again.",
        ) from error
    finally:
        os.close(descriptor)


def _content(path: Path) -> bytes | None:
    try:
        return files.read(path)
    except OSError:  # missing or not a regular file: it is replaced
        return None


def _beside(path: Path) -> Path:
    return path.with_name(f".{path.name}.new")


def _put(path: Path, data: bytes, mode: int) -> None:
    new = _beside(path)
    files.write_new(new, data, mode=mode)
    new.replace(path)
    files.sync_folder(path.parent)


def _switch(link: Path, name: str) -> None:
    new = _beside(link)
    new.symlink_to(name)
    new.replace(link)
    files.sync_folder(link.parent)


def _unpack(bundle: Bundle, copy: Path) -> None:
    """Unpack the copy in a temporary folder, then move it into place; replace a broken one."""
    new = copy.parent / NEW
    bundle.archive.extractall(new / copy.name)
    _compile(new / copy.name, copy)
    kept = [f"{path.stat().st_size} {path.relative_to(new / copy.name)}" for path in _all(new)]
    (new / copy.name / launcher.FILES).write_text("\n".join(kept) + "\n", encoding="utf-8")
    _sync(new)
    if copy.exists():
        copy.rename(new / "broken")
    (new / copy.name).rename(copy)
    files.sync_folder(copy.parent)
    shutil.rmtree(new)


def _all(folder: Path) -> list[Path]:
    return list(files.walk(folder))


def _sync(folder: Path) -> None:
    """Flush everything below a folder to the disk, which is faster than after each write."""
    for path in [*_all(folder), *(Path(each) for each, *_ in os.walk(folder))]:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _compile(folder: Path, copy: Path) -> None:
    """Compile all modules in ``folder``, which will become ``copy``, for the launcher's Python.

    The bytecode is never checked against the sources: that is faster, and timestamps may change.
    """
    options = ("-q", "--invalidation-mode", "unchecked-hash", "-s", str(folder), "-p", str(copy))
    command = [PYTHON, "-IS", "-m", "compileall", *options, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise _unusable((done.stdout + done.stderr).strip())


def _tag() -> str:
    """Return the cache tag of the launcher's Python, which its bytecode file names contain."""
    try:
        command = [PYTHON, "-IS", "-c", TOO_OLD]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        raise _unusable(str(error.strerror)) from error
    if done.returncode:
        raise _unusable("it is older than Python 3.10")
    return done.stdout.strip()


def _unusable(why: str) -> ToolMissing:
    return ToolMissing(
        f"{PYTHON} cannot run tljh-runbook: {why}. What was unpacked before is as it was.",
        hint="Install the Python of your system, 3.10 or newer: sudo apt-get install python3",
    )


def _compiled(copy: Path, tag: str) -> bool:
    return f"{__name__.rpartition('.')[2]}.{tag}.pyc\n" in (copy / launcher.FILES).read_text(
        "utf-8"
    )


def _outdated(place: Place, copy: Path) -> Iterator[Path]:
    """Yield the old copies that are no longer in use."""
    with suppress(FileNotFoundError):
        for path in sorted(place.home.iterdir()):
            if COPY.fullmatch(path.name) and path != copy:
                with _unused(path) as unused:
                    if unused:
                        yield path


def _remove(copy: Path) -> None:
    with _unused(copy) as unused:
        if unused:
            shutil.rmtree(copy)


@contextmanager
def _unused(copy: Path) -> Iterator[bool]:
    """Yield whether a copy is unused, with a lock that stops the launcher from starting it."""
    descriptor = os.open(copy, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield True
    except BlockingIOError:
        yield False
    finally:
        os.close(descriptor)


def _clear(place: Place) -> None:
    """Remove incomplete files that an interrupted run left behind."""
    for path in (place.rescue, place.current, place.launcher):
        _beside(path).unlink(missing_ok=True)
    shutil.rmtree(place.home / NEW, ignore_errors=True)
