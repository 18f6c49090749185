"""Trees of files of every kind, and what can be seen of them."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tljh_runbook.hub.snapshots.placement import placing, private_folder
from tljh_runbook.hub.snapshots.placement.metadata_diff import Difference

ALICE, BOB = 1001, 1002
THEN = 1_600_000_000_123_456_789


@dataclass
class Homes:
    """The live homes, and what was staged beside them."""

    root: Path
    said: list[str] = field(default_factory=list)
    runs: int = 0

    def __post_init__(self) -> None:
        self.live.mkdir(exist_ok=True)
        self.staged.mkdir(parents=True, exist_ok=True)
        self.top.chmod(0o700)

    @property
    def live(self) -> Path:
        return self.root / "home"

    @property
    def work(self) -> Path:
        return private_folder.make_work(self.live)

    @property
    def top(self) -> Path:
        return self.work / "staged-1"

    @property
    def staged(self) -> Path:
        return self.top / "srv" / "home"

    @property
    def replaced(self) -> Path:
        return self.work / f"replaced-{self.runs}"

    def placement(self, *asked: str, missing_only: bool = False) -> placing.Placement:
        paths = tuple(Path("/srv/home", each) for each in asked)
        return placing.Placement(self.top, Path("/srv/home"), self.live, paths, missing_only)

    def compare(self, *asked: str, missing_only: bool = False) -> dict[str, str]:
        return told(placing.compare(self.placement(*asked, missing_only=missing_only)))

    def place(self, *asked: str, missing_only: bool = False) -> dict[str, str]:
        self.runs += 1
        placement = self.placement(*asked, missing_only=missing_only)
        return told(placing.place(placement, self.replaced, self.said.append))


def told(differences: Iterator[Difference] | list[Difference]) -> dict[str, str]:
    return {str(each.path): each.what for each in differences}


def put(path: Path, text: str | bytes = "", *, uid: int = -1, mode: int = 0o644) -> Path:
    """Write a file of a user, and the folders above that are not there."""
    folder(path.parent, uid=uid)
    path.write_bytes(os.fsencode(text))
    path.chmod(mode)
    own(path, uid)
    return path


def folder(path: Path, *, uid: int = -1, mode: int = 0o755) -> Path:
    if not path.exists():
        folder(path.parent, uid=uid)
        path.mkdir()
        path.chmod(mode)
        own(path, uid)
    return path


def own(path: Path, uid: int) -> None:
    if uid != -1 and os.geteuid() == 0:
        mode = path.lstat().st_mode
        os.chown(path, uid, uid, follow_symlinks=False)
        if not stat.S_ISLNK(mode):
            path.chmod(stat.S_IMODE(mode))  # a new owner takes these bits away
    os.utime(path, ns=(THEN, THEN), follow_symlinks=False)


def age(top: Path) -> None:
    """Give all below a folder, and itself, a time long ago."""
    for path in everything(top):
        os.utime(path, ns=(THEN, THEN), follow_symlinks=False)


def everything(top: Path) -> Iterator[Path]:
    """Yield all below a folder and itself, the deepest first; the runbook's own is left out."""
    for here, folders, names in os.walk(top, topdown=False):
        if private_folder.NAME not in Path(here).relative_to(top).parts:
            for name in (*names, *(each for each in folders if Path(here, each).is_symlink())):
                yield Path(here, name)
            yield Path(here)


Seen = dict[str, tuple[object, ...]]


def seen(top: Path) -> Seen:
    """Return all that can be seen of every entry below a folder, and of itself."""
    return {str(path.relative_to(top)): one(path) for path in everything(top)}


def one(path: Path) -> tuple[object, ...]:
    status = path.lstat()
    kind = stat.S_IFMT(status.st_mode)
    content: object = status.st_rdev
    if kind == stat.S_IFREG:
        content = path.read_bytes()
    elif kind == stat.S_IFLNK:
        content = path.readlink()
    elif kind == stat.S_IFDIR:
        content = "folder"
    # The time of a link, or a device, tells nothing and is not compared.
    time = status.st_mtime_ns if kind in {stat.S_IFREG, stat.S_IFDIR} else 0
    extended = tuple(
        (name, os.getxattr(path, name, follow_symlinks=False))
        for name in sorted(os.listxattr(path, follow_symlinks=False))
    )
    return oct(status.st_mode), status.st_uid, status.st_gid, time, content, extended
