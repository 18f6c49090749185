"""Users' files put in their place: by renames, among users who may work against it.

restic restores files into a *staged* folder that only root may enter, on the same file system as
the homes.  From there they are renamed into place; what they replace is renamed into a folder that
keeps it.  Nothing is copied, so links among files, holes and attributes stay as they are, and who
is cut off in the middle has lost nothing: stage again, and place again.
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

NAMED = 5  # entries that an error names
STATE = "What was replaced so far is kept; the rest is as it was."


@dataclass(frozen=True)
class Placement:
    """What is to be put where.

    ``staged`` mirrors absolute paths; ``root`` is the folder of the homes in it as it was kept
    (``/home``), ``target`` the live one.  ``asked`` names what is to be as staged (absolute, as
    kept; nothing means everything): folders above are only on the way, and stay as they are.
    With ``missing_only`` nothing that is in place is touched.
    """

    staged: Path
    root: Path
    target: Path
    asked: tuple[Path, ...] = ()
    missing_only: bool = False

    @property
    def parts(self) -> frozenset[tuple[str, ...]]:
        """What is asked, as paths below the root."""
        asked = self.asked or (self.root,)
        if any(self.root.is_relative_to(path) for path in asked):
            return frozenset({()})
        return frozenset(path.relative_to(self.root).parts for path in asked)


def compare(placement: Placement) -> Iterator[Difference]:
    """Yield what placing would change, and what it cannot, with the reason; only look.

    A folder that is missing, or of another kind, stands for all that is in it.
    """
    with _descent(placement, "Nothing was changed.") as descent:
        yield from Comparison(descent, missing_only=placement.missing_only).run()


def place(placement: Placement, replaced: Path, say: Say) -> list[Difference]:
    """Put what is staged in its place, and what that replaces below ``replaced``.

    Returns what was put right.  ``replaced`` is made when there is something to keep; it belongs
    into the folder that `private_folder.make_work` made.  ``say`` is told what is left alone
    although files below it are missing.  Raises `RestoreFailed` at the end, with all others in
    their place, when some entries could not be restored.
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
    """Bring to the disk what was done, also when it was not all."""
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
    """Open the folder that stands for the homes' among what is staged."""
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
    """Walks through what is staged, and puts the homes right."""

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
