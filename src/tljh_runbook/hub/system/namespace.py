"""A private view of the file system: what is mounted in it is seen by one command alone."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tljh_runbook.hub.core import files, mounts

RUN = Path("/run/tljh-runbook")  # in memory: it takes overlays where the disk itself is one
# Every name is an argument, none is part of the script. `keep` lets nothing be written in a place,
# and hides what else is mounted below it. Any other word is the end of an overlay's options: that
# lays a folder that may be written over one that stays as it is, from within that folder, because
# those options cannot spell every name.
ENTER = """\
set -e
while [ "$1" != -- ]; do
    case $1 in
    bind) mount --no-mtab --rbind "$2" "$3" ;;
    keep)
        mount --no-mtab --bind "$3" "$3"
        mount --no-mtab -o "remount,bind,$2" "$3"
        ;;
    *)
        mkdir -p "$2/lower" "$2/upper" "$2/work"
        mount --no-mtab --bind "$3" "$2/lower"
        cd "$2"
        mount --no-mtab -t overlay -o "lowerdir=lower,upperdir=upper,workdir=work$1" overlay "$3"
        ;;
    esac
    shift 3
done
cd "$2"
shift 2
exec "$@"
"""


@dataclass(frozen=True)
class View:
    """What is in which place for the commands that look through it."""

    binds: tuple[tuple[Path, Path], ...] = ()
    """What is seen in a place, and the place."""
    overlays: tuple[tuple[Path, Path], ...] = ()
    """A folder that takes what is written, and the place that stays as it is."""
    read_only: tuple[Path, ...] = ()
    """Places in which nothing can be written."""

    def command(self, command: Sequence[str], directory: Path) -> list[str]:
        """Return the command line that carries ``command`` out inside, in ``directory``."""
        words: list[str] = []
        for folder, place in self.overlays:
            words += [_own_attributes(), str(folder), str(place)]
        for origin, place in self.binds:
            words += ["bind", str(origin), str(place)]
        for place in self.read_only:
            words += ["keep", _read_only(place), str(place)]
        return [*_unshare(), "sh", "-c", ENTER, "sh", *words, "--", str(directory), *command]


def _unshare() -> list[str]:
    # An ordinary user, as in a sandbox, is root in a namespace of its own.
    own = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    return ["unshare", *own, "--mount", "--propagation", "private", "--"]


def _read_only(place: Path) -> str:
    """Return the options of a mount that differs only in that: an ordinary user may drop none."""
    return ",".join(["ro", *(each for each in mounts.options(place) if each != "rw")])


def _own_attributes() -> str:
    """Return the option that lets an overlay of an ordinary user remember what was removed."""
    return "" if os.geteuid() == 0 else ",userxattr"


def memory() -> list[Path]:
    """Return a folder in memory. Only root makes one there, and nobody else may look into it."""
    return [RUN] if os.geteuid() == 0 else []


def place(folders: Iterable[Path]) -> Path | str:
    """Return the first of the folders that can hold what a view writes, or why none can."""
    reason = ""
    for folder in folders:
        try:
            files.make_private(folder)
            reason = refused(folder)
        except OSError as error:
            reason = str(error)
        if not reason:
            return folder
    return f"this server allows no private view of its files: {reason}"


def refused(folder: Path) -> str:
    """Say why no private view can be had whose files lie in ``folder``; nothing where it can."""
    with tempfile.TemporaryDirectory(dir=folder, prefix="view-") as name:
        top = Path(name)
        for each in ("origin", "place", "upper", "covered"):
            (top / each).mkdir()
        view = View(
            binds=((top / "origin", top / "place"),), overlays=((top / "upper", top / "covered"),)
        )
        try:
            done = subprocess.run(
                view.command(["touch", str(top / "place" / "a"), str(top / "covered" / "b")], top),
                env={**os.environ, "LC_ALL": "C"},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
            )
        except OSError as error:
            return str(error)
        if done.returncode:
            return " ".join(done.stderr.split()) or f"it ended with {done.returncode}"
        contained = (top / "origin" / "a").exists() and not (top / "covered" / "b").exists()
        return "" if contained else "what was written inside was seen outside"
