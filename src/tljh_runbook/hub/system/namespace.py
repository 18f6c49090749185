"""An isolated mount namespace, whose mounts only one command sees."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tljh_runbook.hub.core import files, mounts

RUN = Path("/run/tljh-runbook")  # tmpfs, so overlays work even if the disk is an overlay
# All paths are arguments, never part of the script. `keep` makes a place read-only and hides other
# mounts below it. Any other word is the end of an overlay's mount options: a writable folder is
# mounted over a place that does not change. The mount command runs in that folder and uses relative
# names, because overlay options cannot express every path.
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
    """The mounts of an isolated mount namespace."""

    binds: tuple[tuple[Path, Path], ...] = ()
    """Bind mounts: the source, and the place where it is mounted."""
    overlays: tuple[tuple[Path, Path], ...] = ()
    """Overlays: the folder that receives the writes, and the place, which does not change."""
    read_only: tuple[Path, ...] = ()
    """Places that are mounted read-only."""

    def command(self, command: Sequence[str], directory: Path) -> list[str]:
        """Return the command line that runs ``command`` in the namespace, in ``directory``."""
        words: list[str] = []
        for folder, place in self.overlays:
            words += [_own_attributes(), str(folder), str(place)]
        for origin, place in self.binds:
            words += ["bind", str(origin), str(place)]
        for place in self.read_only:
            words += ["keep", _read_only(place), str(place)]
        return [*_unshare(), "sh", "-c", ENTER, "sh", *words, "--", str(directory), *command]


def _unshare() -> list[str]:
    # An ordinary user, as in a sandbox, needs a user namespace to be root in.
    own = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    return ["unshare", *own, "--mount", "--propagation", "private", "--"]


def _read_only(place: Path) -> str:
    """Return a place's mount options with ``ro``; an ordinary user may not drop any other."""
    return ",".join(["ro", *(each for each in mounts.options(place) if each != "rw")])


def _own_attributes() -> str:
    """Return the option that lets an ordinary user's overlay record removed files."""
    return "" if os.geteuid() == 0 else ",userxattr"


def memory() -> list[Path]:
    """Return a folder in memory that only root can read; none for other users."""
    return [RUN] if os.geteuid() == 0 else []


def place(folders: Iterable[Path]) -> Path | str:
    """Return the first folder that can hold a namespace's writes, or the reason why none can."""
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
    """Return why no isolated mount namespace can use files in ``folder``, or ''."""
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
