"""Staging an upgrade: copies of a hub, and the mount namespace in which it is prepared."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tljh_runbook.errors import NoSpace, ServerUnfit
from tljh_runbook.hub.context import Source
from tljh_runbook.hub.core import copies, files, mounts
from tljh_runbook.hub.core.layout import ENVIRONMENTS, OWN, Hub
from tljh_runbook.hub.database import databases, sqlite
from tljh_runbook.hub.database.postgres_address import Server
from tljh_runbook.hub.snapshots import exchange
from tljh_runbook.hub.system import namespace
from tljh_runbook.hub.system.namespace import View
from tljh_runbook.hub.upgrade import removable
from tljh_runbook.hub.upgrade.stage import recorder

FOLDER = "runbook-stage"
NAME = "stage"  # of the folder for stage files that are not copies of the prefix
ROOM = 1 << 30  # bytes that an installer may add


@dataclass(frozen=True)
class Stage:
    """The next version of a hub while it is prepared; nothing of it is live.

    ``upper`` is the folder for writes to ``/usr``; ``prints`` are the fingerprints of the
    environments when they were copied; ``outside`` are the database files that are not in the hub's
    state folder; ``homes`` is mounted read-only.
    """

    hub: Hub
    upper: Path
    prints: dict[str, str]
    outside: tuple[Path, ...] = ()
    homes: Path | None = None

    @property
    def copy(self) -> Hub:
        """The copies, in a prefix with the hub's own layout."""
        return place(self.hub)

    @property
    def etc(self) -> Path:
        """The copy of the server's ``/etc``."""
        return beside(self.hub) / "etc"

    @property
    def asked(self) -> list[list[str]]:
        """The recorded calls of the server's tools, in order."""
        return recorder.read(beside(self.hub) / "asked")

    @property
    def environment(self) -> dict[str, str]:
        """The environment variables that commands in the stage need."""
        return {recorder.ASKED: str(beside(self.hub) / "asked")}

    def command(self, command: Sequence[str], directory: Path) -> list[str]:
        """Return the command line that runs with the copies mounted over the live hub."""
        return self.view().command(command, directory)

    def run(
        self, command: Sequence[str], environment: Mapping[str, str], directory: Path
    ) -> subprocess.CompletedProcess[str]:
        """Run a command with the copies mounted over the hub; ``stdout`` includes stderr."""
        return subprocess.run(
            self.command(command, directory),
            env={**environment, **self.environment},
            cwd=self.hub.work,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
        )

    def view(self, more: Iterable[tuple[Path, Path]] = ()) -> View:
        """Return the isolated mount namespace; ``more`` are further bind mounts: source, target."""
        recording = beside(self.hub) / "recorder"
        tools = [(recording, path) for path in recorder.places(self.hub)]
        others = [(path, self.copy.prefix / path.name) for path in _others(self.hub)]
        etc, prefix = (self.etc, self.hub.root / "etc"), (self.copy.prefix, self.hub.prefix)
        covered = [self.hub.root / "usr", *(path.parent for path in self.outside)]
        folders = [path for path in covered if path.exists()]
        return View(
            overlays=tuple((self.upper / f"upper-{i}", path) for i, path in enumerate(folders)),
            binds=(*tools, etc, *others, prefix, *more),
            read_only=(self.homes,) if self.homes and self.homes.is_dir() else (),
        )

    def outdated(self) -> list[str]:
        """Return the environments that were changed after they were copied."""
        now = {name: copies.fingerprint(self.hub.prefix / name) for name in self.prints}
        return [name for name, seen in self.prints.items() if now[name] != seen]


def place(hub: Hub) -> Hub:
    """Return the prefix of the copies: on the hub's own disk, so that they can be swapped."""
    return Hub(hub.prefix / FOLDER)


def beside(hub: Hub) -> Path:
    """Return the folder for stage files that are not copies of the prefix."""
    return hub.work / NAME


def discard(hub: Hub) -> None:
    """Remove the stage, if any, in whatever state it is."""
    for folder in (place(hub).prefix, *(each / NAME for each in _holders(hub))):
        copies.remove(folder)


def require_folders(hub: Hub) -> None:
    """Raise `ServerUnfit` if an environment is a link or a mount point.

    Such an upgrade could be neither started nor rolled back: a link would be copied and swapped
    instead of its target, and a mount point cannot be swapped.
    """
    for folder in (hub.prefix / name for name in ENVIRONMENTS):
        if folder.is_symlink():
            raise _unfit(hub, folder, f"is a link to {folder.readlink()}")
        if mounts.is_mounted(folder):
            raise _unfit(hub, folder, "is a disk of its own, or a folder that is mounted there")


def _require_homes_apart(source: Source) -> None:
    """Raise `ServerUnfit` if the homes are in a folder that an upgrade swaps."""
    homes = Path(source.settings.homes).resolve()
    for folder in (source.hub.prefix / name for name in ENVIRONMENTS):
        if homes.is_relative_to(folder.resolve()):
            raise ServerUnfit(
                f"The homes are in {folder}, which an upgrade exchanges: users would lose what "
                "they write meanwhile. Nothing was changed.",
                hint=f"Move them out of it, then name their folder in {source.hub.settings_file}: "
                "homes: /path",
            )


def _unfit(hub: Hub, folder: Path, what: str) -> ServerUnfit:
    return ServerUnfit(
        f"{folder} {what}, so it cannot be exchanged: an upgrade can neither begin nor be "
        "rolled back. Nothing was changed.",
        hint=f"Stop the hub, and put a folder with the same content in the place of {folder}. If "
        f"the disk is too small for it, mount a larger one at {hub.prefix}, for all of the hub.",
    )


def upper(source: Source) -> Path | str:
    """Return the folder in which this hub's upgrade can be staged, or the reason why there is none.

    Raises what `require_folders` raises.
    """
    require_folders(source.hub)
    _require_homes_apart(source)
    for name in ("state", "config"):
        folder = source.hub.prefix / name
        if folder.is_symlink() or os.path.ismount(folder):
            return f"{folder} is a link, or a disk of its own"
    found = databases.find(source.hub, source.services, source.settings)
    for name, database in found.items():
        if isinstance(database, Server):
            # A mount namespace does not isolate a database server: a rehearsal would migrate the
            # live database.
            return f"the database {name!r} lies on a PostgreSQL server"
    holds = namespace.place(_holders(source.hub))
    return holds if isinstance(holds, str) else holds / NAME


def make(source: Source, upper: Path) -> Stage:
    """Copy the hub: environments as they are, databases and settings consistently.

    Removes an earlier stage first. Raises `NoSpace`, `DiskFailed`, and what copying a database
    raises; the stage is removed then.
    """
    discard(source.hub)
    try:
        with files.disk_errors(source.hub.prefix, "The live hub was not touched."):
            return _made(source, upper)
    except BaseException:
        discard(source.hub)
        raise


def _made(source: Source, upper: Path) -> Stage:
    hub, copy = source.hub, place(source.hub)
    for folder in {beside(hub), upper}:
        folder.mkdir(mode=0o700)
    prints = copy_environments(hub)
    outside = _state(source)
    for path in hub.prefix.iterdir():
        if path.is_file() and not path.is_symlink():
            exchange.copy_file(path, copy.prefix / path.name)
    for path in _others(hub):
        (copy.prefix / path.name).mkdir()
    copies.copy(hub.root / "etc", beside(hub) / "etc")
    recorder.write(beside(hub))
    return Stage(hub, upper, prints, outside, Path(source.settings.homes))


def copy_environments(hub: Hub, names: Iterable[str] = ENVIRONMENTS) -> dict[str, str]:
    """Copy environments; return the fingerprint of each. Raises `NoSpace`, `DiskFailed`."""
    present = [name for name in names if (hub.prefix / name).exists()]
    _require_room(hub, present)
    place(hub).prefix.mkdir(mode=0o700)
    return {name: _environment(hub, name) for name in present}


def _environment(hub: Hub, name: str) -> str:
    """Copy an environment and return its fingerprint; copy again if it changes meanwhile."""
    origin, target = hub.prefix / name, place(hub).prefix / name
    while True:
        seen = copies.fingerprint(origin)
        copies.copy(origin, target)
        if copies.fingerprint(origin) == seen:
            return seen
        copies.remove(target)


def _state(source: Source) -> tuple[Path, ...]:
    """Copy state and settings; return the databases that are stored elsewhere."""
    hub, copy = source.hub, place(source.hub)
    found = databases.find(hub, source.services, source.settings).values()
    kept = [path.resolve() for path in found if isinstance(path, Path)]
    skipped = {Path(f"{path}{end}") for path in kept for end in ("", *sqlite.BESIDE)}
    for folder in (hub.state, hub.config):
        _tree(folder, copy.prefix / folder.name, skipped)
    for path in kept:
        if path.is_relative_to(hub.state):
            _database(path, copy.state / path.relative_to(hub.state))
    return tuple(path for path in kept if not path.is_relative_to(hub.state))


def _tree(origin: Path, target: Path, skipped: set[Path]) -> None:
    """Copy files one by one, each atomically, and the folders that contain them."""
    target.mkdir(mode=0o700)
    for entry in os.scandir(origin):
        path, new = Path(entry.path), target / entry.name
        if entry.is_dir(follow_symlinks=False):
            _tree(path, new, skipped)
        elif entry.is_symlink() or (entry.is_file() and path not in skipped):
            with suppress(FileNotFoundError):  # a temporary file, already removed
                exchange.copy_file(path, new)
    _like(origin, target)


def _database(origin: Path, target: Path) -> None:
    databases.copy(origin, target)
    _like(origin, target)


def _like(origin: Path, target: Path) -> None:
    about = origin.stat()
    os.chown(target, about.st_uid, about.st_gid)
    shutil.copystat(origin, target)


def _others(hub: Hub) -> Iterator[Path]:
    """Yield other folders in the prefix, such as an administrator's; they are mounted as is."""
    known = {*OWN, FOLDER}
    for path in sorted(hub.prefix.iterdir()):
        if path.is_dir() and not path.is_symlink() and path.name not in known:
            yield path


def _require_room(hub: Hub, environments: Iterable[str]) -> None:
    folders = [hub.state, *(hub.prefix / name for name in environments)]
    needed = ROOM + sum(copies.needed(folder, hub.prefix) for folder in folders)
    free = shutil.disk_usage(hub.prefix).free
    if free < needed:
        raise NoSpace(
            f"The disk that holds {hub.prefix} has {free >> 20} MB free; preparing an upgrade "
            f"beside the live hub may need {needed >> 20}. Nothing was changed.",
            hint=f"Free some room first. {removable.advice(hub)}",
        )


def _holders(hub: Hub) -> list[Path]:
    """Return the folders that may hold what an installer writes into a stage, preferred first."""
    return [beside(hub).parent, *namespace.memory()]
