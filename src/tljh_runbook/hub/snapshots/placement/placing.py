"""Placement of users' files by renames, safe even if a user interferes.

restic restores files into a *staged* folder on the same file system as the homes, which only root
can access.  They are then renamed into place, and whatever they replace is renamed into a separate
folder.  Nothing is copied, so hard links, holes and attributes are preserved, and an interrupted
run loses nothing: stage and place again.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tljh_runbook.errors import NotKept, RestoreFailed
from tljh_runbook.hub.core import files, renames
from tljh_runbook.hub.snapshots.placement import private_folder
from tljh_runbook.hub.snapshots.placement.metadata_diff import MISSING, Difference
from tljh_runbook.hub.snapshots.placement.replaced import Kept
from tljh_runbook.hub.snapshots.placement.tree_diff import Comparison
from tljh_runbook.hub.snapshots.placement.tree_walk import Descent, Level, Pair, mount

Say = Callable[[str], None]

NAMED = 5  # maximum number of entries listed in an error
STATE = "What was replaced so far is kept; the rest is as it was."


@dataclass(frozen=True)
class Placement:
    """What to place where.

    ``staged`` mirrors absolute paths.  ``root`` is the homes folder at the time of the snapshot
    (``/home``), ``target`` the live one.  ``asked`` lists the paths to make identical to the
    staged ones (absolute, as in the snapshot; empty means all).  Their parent folders are only
    traversed and stay unchanged.  With ``missing_only``, nothing that exists is touched.
    """

    staged: Path
    root: Path
    target: Path
    asked: tuple[Path, ...] = ()
    missing_only: bool = False

    @property
    def parts(self) -> frozenset[tuple[str, ...]]:
        """The selected paths, relative to the root."""
        asked = self.asked or (self.root,)
        if any(self.root.is_relative_to(path) for path in asked):
            return frozenset({()})
        return frozenset(path.relative_to(self.root).parts for path in asked)


def compare(placement: Placement) -> Iterator[Difference]:
    """Yield what placing would change, and what it can't and why, without changing anything.

    A folder that is missing, or of another type, represents everything in it.
    """
    with _descent(placement, "Nothing was changed.") as descent:
        yield from Comparison(descent, missing_only=placement.missing_only).run()


def place(placement: Placement, replaced: Path, say: Say) -> list[Difference]:
    """Move staged entries into place, and the entries they replace to ``replaced``.

    Returns the differences that were fixed.  ``replaced`` is created only when it is needed; it
    must be inside the folder that `private_folder.make_work` creates.  ``say`` reports folders
    that are skipped although files in them are missing.  Raises `RestoreFailed` if some entries
    could not be restored, after all others are in place.
    """
    with (
        _descent(placement, STATE) as descent,
        closing(Kept(replaced)) as kept,
        _synced(descent.level.folders.live),
    ):
        placing = _Placing(descent, placement, kept, say)
        found = list(placing.run())
    if placing.refused:
        raise _failure(placing.refused, placement.target)
    return found


@contextmanager
def _synced(folder: int) -> Iterator[None]:
    """Flush changes to disk, even if the block fails."""
    same = os.dup(folder)
    try:
        yield
    finally:
        renames.sync(same)
        os.close(same)


@contextmanager
def _descent(placement: Placement, state: str) -> Iterator[Descent]:
    with files.disk_errors(placement.target, state), ExitStack() as opened:
        staged = opened.enter_context(
            private_folder.private(None, placement.staged, placement.staged)
        )
        live = opened.enter_context(private_folder.opened(placement.target))
        if mount(live) != mount(staged):
            raise RestoreFailed(
                f"{placement.staged} is on another disk than {placement.target}. "
                "Nothing was changed.",
                hint="Restore into a folder with --into, and copy from there.",
            )
        pair = Pair(_staged_root(staged, placement), os.dup(live))
        with closing(Descent(pair, placement.parts)) as descent:
            yield descent


def _staged_root(staged: int, placement: Placement) -> int:
    """Open the staged counterpart of the homes folder."""
    folder = os.dup(staged)
    for name in placement.root.parts[1:]:
        try:
            below = os.open(name, private_folder.FOLDER, dir_fd=folder)
        except FileNotFoundError:
            raise NotKept(
                f"Nothing below {placement.root} was kept. Nothing was changed.",
                hint="Choose another of the snapshots: tljh-runbook snapshots",
            ) from None
        finally:
            os.close(folder)
        folder = below
    return folder


class _Placing(Comparison):
    """A walk over the staged tree that moves entries into the homes."""

    def __init__(self, descent: Descent, placement: Placement, kept: Kept, say: Say) -> None:
        super().__init__(descent, missing_only=placement.missing_only)
        self._kept = kept
        self._say = say
        self.refused: list[Difference] = []

    def change(self, name: str, what: str) -> None:
        level = self.at.level
        level.touched = True
        if what == MISSING:
            renames.move(level.folders.staged, level.folders.live, name)
        else:
            self._kept.replace(level.folders.staged, level.folders.live, self.at.parts(name))

    def finish(self, level: Level) -> None:
        if level.asked and not self.missing_only and not self.at.is_root:
            level.kept.put_on(level.folders.live)
        elif level.touched:
            level.found.put_time_on(level.folders.live)

    def refuse(self, refused: Difference) -> Iterator[Difference]:
        self.refused.append(refused)
        return iter(())

    def leave_alone(self, path: Path, reason: str) -> None:
        self._say(f"{str(path)!a} is left alone, with all in it: {reason}")


def _failure(refused: list[Difference], target: Path) -> RestoreFailed:
    named = ", ".join(f"{str(each.path)!a} ({each.what})" for each in refused[:NAMED])
    more = f" and {len(refused) - NAMED} more" if len(refused) > NAMED else ""
    return RestoreFailed(
        f"Not restored below {target}: {named}{more}. All others are in their place.",
        hint="Stop the servers of these users and run it again, or restore into a folder with "
        "--into and copy from there.",
    )
