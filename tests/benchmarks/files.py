"""Upgrades of a hub with a million files in its homes, beside the same hub with a thousand."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from rows import Row
from upgrade import BACK, each_round
from working_hub import WorkingHub, working

from tljh_runbook.hub.core.layout import Hub
from tljh_runbook.hub.runs import journal
from tljh_runbook.hub.servers.background import Background
from tljh_runbook.hub.upgrade import state_file

FEW, MANY = 1_000, 1_000_000
FOLDER = 1_000  # files in one folder
EVERY = 0.02  # seconds between two looks at the upgrade
AIM = 1.0  # megabytes, of the state file
MB = 1e6


@dataclass(frozen=True)
class Size:
    """What an upgrade needed; in MB and seconds."""

    state: float
    memory: float
    away: float
    written: float
    """By the upgrade while the hub was down."""
    homes_read: int
    """How often the homes were listed while the hub was down."""


@dataclass
class Observed:
    """What is seen of an upgrade's process and of its state file while it runs; in bytes."""

    hub: Hub
    homes: Path
    state: int = 0
    memory: int = 0
    written: dict[str, int] = field(default_factory=dict)
    """How much the process had written when it was first seen in each phase."""
    homes_read: bool = False

    def follow(self, stop: threading.Event) -> None:
        """Look until the upgrade has ended."""
        while not stop.wait(EVERY):
            # It may have ended: of a process that nobody has waited for there is no memory.
            with suppress(OSError, IndexError, StopIteration):
                self._look()

    def _look(self) -> None:
        pid = int(journal.read(self.hub, "upgrade")[0]["pid"])
        self.memory = max(self.memory, _value(pid, "status", "VmHWM:") * 1024)
        self.state = max(self.state, (self.hub.work / state_file.NAME).stat().st_size)
        now = state_file.read(self.hub)
        if now and now.phase not in self.written:
            self.written[now.phase] = _value(pid, "io", "wchar:")
            if now.phase == state_file.SWAPPING:
                # Whoever lists the folder from now on gives it a new time of access.
                os.utime(self.homes, (0, self.homes.stat().st_mtime))
            elif now.phase == state_file.PROVING:
                self.homes_read = self.homes.stat().st_atime != 0


def rows(folder: Path, rounds: int) -> Iterator[Row]:
    """Yield the figures of so many rounds; after Ctrl-C, of those that were whole by then."""
    with working(folder / "box") as hub:
        # What users' files take to be kept is not what is measured here.
        with hub.place.settings.open("a", encoding="utf-8") as file:
            file.write("user_data:\n  exclude: [many]\n")
        _require_times(hub.place.homes)
        trees = {count: _tree(hub.place.root / str(count), count) for count in (MANY, FEW)}
        turns = partial(_turns, hub, trees)
        done = each_round(turns, rounds)
    yield from figures(done)


def figures(rounds: list[tuple[Size, Size]]) -> Iterator[Row]:
    """Yield what the rounds tell, each of the hub with many files and of the one with few."""
    peer, many = f"{FEW:,} files", f"{MANY:,} files"
    yield Row(f"state file, {many}", "", "MB", AIM, [(each.state, None) for each, _ in rounds])
    for name, unit, aim in (
        ("state", "MB", 1.5),
        ("memory", "MB", 1.5),
        ("away", "s", 1.3),
        ("written", "MB", 1.3),
    ):
        pairs = [(getattr(one, name), getattr(other, name)) for one, other in rounds]
        yield Row(f"{NAMES[name]}, {many}", peer, unit, aim, pairs)
    read = [(each.homes_read, None) for each, _ in rounds]
    yield Row(f"homes listed while the hub is down, {many}", "", "times", 0, read)


NAMES = {
    "state": "state file",
    "memory": "peak memory of the upgrade",
    "away": "hub down",
    "written": "written while the hub is down",
}


def _turns(hub: WorkingHub, trees: dict[int, Path]) -> tuple[Size, Size]:
    many, few = (_size(hub, tree) for tree in trees.values())
    return many, few


def _size(hub: WorkingHub, tree: Path) -> Size:
    """Upgrade with these files in a home, and roll back; return what the upgrade needed."""
    put = hub.place.homes / "alice" / "many"
    tree.rename(put)
    try:
        hub.tool("backup")
        seen = Observed(Hub(hub.place.prefix), hub.place.homes)
        with Background(seen.follow):
            cost = hub.cost(partial(hub.tool, "upgrade"))
        hub.tool(*BACK)
        hub.wait()
    finally:
        put.rename(tree)
    written = seen.written[state_file.PROVING] - seen.written[state_file.SWAPPING]
    return Size(seen.state / MB, seen.memory / MB, cost.away, written / MB, int(seen.homes_read))


def _require_times(folder: Path) -> None:
    """End where a folder that is listed gets no time of access: it would tell nothing."""
    os.utime(folder, (0, folder.stat().st_mtime))
    list(folder.iterdir())
    if not folder.stat().st_atime:
        raise SystemExit(f"{folder} is mounted with noatime: set TMPDIR to another disk")


def _tree(top: Path, count: int) -> Path:
    """Make so many files, in folders of a thousand."""
    for number in range(0, count, FOLDER):
        folder = top / f"{number // FOLDER:04}"
        folder.mkdir(parents=True)
        opened = os.open(folder, os.O_RDONLY)
        for each in range(FOLDER):
            os.close(os.open(f"{each:04}.ipynb", os.O_CREAT | os.O_WRONLY, 0o644, dir_fd=opened))
        os.close(opened)
    return top


def _value(pid: int, file: str, name: str) -> int:
    lines = Path("/proc", str(pid), file).read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name))
