"""The walk over the staged tree that finds differences in the homes."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from tljh_runbook.hub.snapshots.placement.metadata_diff import (
    FOREIGN,
    KIND,
    MISSING,
    OWNER,
    Difference,
    difference,
)
from tljh_runbook.hub.snapshots.placement.tree_walk import (
    ELSEWHERE,
    Descent,
    Level,
    Refused,
    is_lost,
)

ATTEMPTS = 100  # attempts per entry, in case its user keeps replacing it
# Errors that affect all entries. Any other error affects one entry, and its user can cause it.
HOPELESS = {errno.ENOSPC, errno.EROFS, errno.EMFILE, errno.ENFILE}


class Comparison:
    """A comparison of the staged tree with the homes; subclasses override the hooks to fix them."""

    def __init__(self, descent: Descent, *, missing_only: bool) -> None:
        self.at = descent
        self.missing_only = missing_only

    def change(self, name: str, what: str) -> None:
        """Move the staged entry into place.

        Raises `OSError` if the live entry is no longer the one that was compared.
        """

    def finish(self, level: Level) -> None:
        """Fix the attributes of a folder after all its entries are in place."""

    def refuse(self, refused: Difference) -> Iterator[Difference]:
        """Report an entry that can't be restored."""
        yield refused

    def leave_alone(self, path: Path, reason: str) -> None:
        """Report a folder that is skipped because existing entries must not be replaced."""

    def run(self) -> Iterator[Difference]:
        while self.at:
            name = next(self.at.level.waiting, None)
            parts = self.at.parts() if name is None else self.at.parts(name)
            try:
                what = self._leave() if name is None else self._settle(name)
            except Refused as reason:
                yield from self.refuse(Difference(Path(*parts), str(reason), refused=True))
            else:
                if what:
                    yield Difference(Path(*parts), what)

    def _leave(self) -> str:
        try:
            self.finish(self.at.level)
        except OSError as error:
            raise _reason(error) from error
        finally:
            self.at.leave()
        return ""

    def _settle(self, name: str) -> str:
        """Compare one entry and have it fixed; return how it differed."""
        for _ in range(ATTEMPTS):
            try:
                return self._compare(name)
            except OSError as error:
                if not is_lost(error):
                    raise _reason(error) from error
        raise Refused("changes all the time")

    def _compare(self, name: str) -> str:
        folders, asked = self.at.level.folders, self.at.is_asked(name)
        status = os.stat(name, dir_fd=folders.staged, follow_symlinks=False)
        is_folder = stat.S_ISDIR(status.st_mode)
        if not is_folder and not asked:
            return ""
        what = difference(folders.staged, folders.live, name)
        if is_folder and not what:
            return self._compare_folder(name)
        if what == KIND and is_folder and not self._may_replace(name, "not a folder"):
            return ""
        if not what or (self.missing_only and what != MISSING):
            return ""
        self.change(name, what)
        return what

    def _compare_folder(self, name: str) -> str:
        below = self.at.look_below(name)
        authoritative = below.asked and not self.missing_only
        if self._may_enter(below, authoritative=authoritative):
            self.at.enter(below)
            return OWNER if authoritative and not below.kept.alike(below.found) else ""
        below.folders.close()
        if not self._may_replace(name, "it belongs to another user"):
            return ""
        self.change(name, FOREIGN)
        return FOREIGN

    def _may_enter(self, below: Level, *, authoritative: bool) -> bool:
        """Return whether a folder is the one in the snapshot, and not a replacement.

        Restoring files into another user's folder would disclose them, and giving a folder the
        attributes of another one may expose private data.  A folder that only root can have put
        there is trusted.
        """
        above = self.at.level.found
        if above.is_private_to(os.geteuid()):
            return True
        if below.kept.uid != below.found.uid:
            return False
        return (
            not authoritative
            or below.kept.alike(below.found)
            or above.is_private_to(below.found.uid)
        )

    def _may_replace(self, name: str, reason: str) -> bool:
        """Return whether a folder may be replaced as a whole.

        Raises `Refused` if the folder is only a parent of a selected path.
        """
        if not self.at.is_asked(name):
            raise Refused(reason)
        if self.missing_only:
            self.leave_alone(Path(*self.at.parts(name)), reason)
        return not self.missing_only


def _reason(error: OSError) -> Exception:
    """Return the reason why one entry is not restored, or the error if it affects all entries."""
    if error.errno in HOPELESS:
        return error
    return Refused(ELSEWHERE if error.errno in {errno.EXDEV, errno.EBUSY} else error.strerror)
