"""The guarantee that users' homes are where they were, and that the upgrade writes nothing there.

An upgrade that is prepared beside the hub sees the homes read-only, and the swap replaces no
directory in them. That is what protects the files, not this comparison. The comparison detects
violations: a home that is gone, another directory in its place, or another owner. Files that users
add and delete meanwhile are counted, and do not break the guarantee.

The size of the measurement does not depend on the number of files: a count and one hash of all
names per home, and one sample of `SAMPLE` names across all homes.
"""

from __future__ import annotations

import hashlib
import heapq
import os
import pwd
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tljh_runbook.errors import SettingsInvalid
from tljh_runbook.hub.context import Source
from tljh_runbook.hub.core import mounts

# What running servers create and delete all the time.
VOLATILE = {".cache", ".ipynb_checkpoints", "runtime", ".tljh-runbook"}
VOLATILE_ENDS = ("-journal", "-wal", "-shm", ".pid", ".lock", "~")
DEEPEST = 64  # nested directories; each stays open during the tree walk
SAMPLE = 100  # names to store, across all homes
LONGEST = 256  # the maximum length of a sampled path: users choose the names
NAMED = 5  # the maximum number of homes and files in a verdict
WALK = 60.0  # seconds to count all homes; the rest are compared without counts
ROUND = 1 << 64
FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Homes:
    name = "user data"
    statement = (
        "Every home is the same folder on the same disk, with the same owner, and the upgrade "
        "writes nothing there."
    )
    order = 7

    def measure(self, source: Source) -> Any:
        homes = Path(source.settings.homes)
        if not homes.is_dir():
            raise SettingsInvalid(
                f"There is no folder {homes}, so nobody can tell whether users' files are kept.",
                hint=f"Name the folder of the home directories in {source.hub.settings_file}: "
                "homes: /path",
            )
        return _measured(homes, source.hub.root / "etc" / "fstab")

    def judge(self, before: Any, after: Any) -> tuple[bool | None, str]:
        if not isinstance(before, dict):
            return None, "measured before by an older version of this tool"
        wrong = list(_wrong(before["homes"], after["homes"]))
        if wrong:
            return False, _listed(wrong)
        told = "; ".join(_told(before, after))
        unseen = [*before["unseen"], *after["unseen"], *_moved(before["homes"], after["homes"])]
        if unseen:
            return None, "; ".join([_listed(list(dict.fromkeys(unseen))), told])
        return True, told


@dataclass
class Tally:
    """The contents of one home: a count, and an order-independent hash of all names."""

    sample: list[tuple[int, str]]
    """A heap of the paths with the largest hashes, across all homes."""
    deadline: float
    files: int = 0
    names: int = 0

    def walk(self, folder: int, path: str, deepest: int = DEEPEST) -> bool:
        """Count everything in an open directory; return False if the time ran out."""
        with os.scandir(folder) as entries:
            for entry in entries:
                if time.monotonic() > self.deadline:
                    return False
                if entry.name in VOLATILE or entry.name.endswith(VOLATILE_ENDS):
                    continue
                self._add(f"{path}/{entry.name}")
                below = deepest and entry.is_dir(follow_symlinks=False)
                if below and not self._below(folder, entry.name, path, deepest - 1):
                    return False
        return True

    def _below(self, folder: int, name: str, path: str, deepest: int) -> bool:
        """Count everything in a subdirectory; one that has just been deleted counts as empty.

        It is opened relative to its parent, and symbolic links are not followed, so that nobody can
        redirect the tree walk by replacing a directory with a link.
        """
        with suppress(OSError):
            opened = os.open(name, FLAGS, dir_fd=folder)
            try:
                return self.walk(opened, f"{path}/{name}", deepest)
            finally:
                os.close(opened)
        return True

    def _add(self, path: str) -> None:
        number = _number(path)
        self.files += 1
        self.names = (self.names + number) % ROUND
        if len(path) > LONGEST:
            return
        if len(self.sample) < SAMPLE:
            heapq.heappush(self.sample, (number, path))
        elif number > self.sample[0][0]:
            heapq.heapreplace(self.sample, (number, path))


def _number(path: str) -> int:
    data = path.encode(errors="surrogateescape")
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "big")


def _measured(homes: Path, fstab: Path) -> dict[str, Any]:
    found: dict[str, Any] = {}
    unseen = [f"{place} is not mounted" for place in mounts.missing(homes, fstab)]
    sample: list[tuple[int, str]] = []
    deadline = time.monotonic() + WALK
    root = os.open(homes, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for name in sorted(_folders(root)):
            try:
                found[name] = _home(root, name, sample, deadline)
            except FileNotFoundError:
                continue  # it has just been removed
            except OSError as error:
                unseen.append(f"the home {name!a} cannot be read: {error.strerror}")
                continue
            if found[name]["files"] == 0:
                unseen.append(f"the home {name!a} is empty")
    finally:
        os.close(root)
    if not found:
        unseen.append(f"there is no home in {homes}")
    return {"homes": found, "unseen": unseen, "sample": sorted(path for _, path in sample)}


def _folders(root: int) -> Iterator[str]:
    with os.scandir(root) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False) and entry.name not in VOLATILE:
                yield entry.name


def _home(
    root: int, name: str, sample: list[tuple[int, str]], deadline: float
) -> dict[str, int | str | None]:
    """Return the identity, owner and contents of a home; ``files`` is None if the time ran out."""
    folder = os.open(name, FLAGS, dir_fd=root)
    try:
        about = os.fstat(folder)
        tally = Tally(sample, deadline)
        whole = tally.walk(folder, name)
    finally:
        os.close(folder)
    return {
        "disk": about.st_dev,
        "inode": about.st_ino,
        "owner": about.st_uid,
        "account": _account(about.st_uid),
        "files": tally.files if whole else None,
        "names": f"{tally.names:016x}",
    }


def _account(owner: int) -> str:
    """Return the name of the account with the user id ``owner``; '' if there is none."""
    with suppress(KeyError):
        return pwd.getpwuid(owner).pw_name
    return ""


def _wrong(before: dict[str, Any], after: dict[str, Any]) -> Iterator[str]:
    """Yield the changes that no owner of a home can have caused.

    The parent directory of the homes belongs to root, so users can neither remove nor replace one.
    """
    for name, was in before.items():
        now = after.get(name)
        if now is None:
            if not was["account"] or _account(was["owner"]) == was["account"]:
                yield f"the home {name!a} is gone"
        elif now["disk"] == was["disk"] and now["inode"] != was["inode"]:
            yield f"another folder is in the place of the home {name!a}"
        elif now["disk"] == was["disk"] and now["owner"] != was["owner"]:
            yield f"the home {name!a} belongs to user {now['owner']}, not {was['owner']}"


def _moved(before: dict[str, Any], after: dict[str, Any]) -> Iterator[str]:
    for name, was in before.items():
        if (now := after.get(name)) and now["disk"] != was["disk"]:
            yield f"the home {name!a} is on another disk: was it mounted or unmounted?"


def _told(before: dict[str, Any], after: dict[str, Any]) -> Iterator[str]:
    """Yield the totals, and the changes that users have made to their files meanwhile."""
    homes, now = before["homes"], after["homes"]
    total = sum(each["files"] or 0 for each in homes.values())
    yield f"{len(homes)} home{'' if len(homes) == 1 else 's'}, {total} files and folders"
    # Each walk covers a different part of these homes, so a difference means nothing.
    cut = {name for name, was in homes.items() if _cut_short(was, now.get(name, was))}
    if cut:
        yield f"not counted within {WALK:.0f} s: {_listed(sorted(cut))}"
    changed = [
        f"{name!a} ({now[name]['files'] - was['files']:+d})"
        for name, was in homes.items()
        if name in now and name not in cut and now[name]["names"] != was["names"]
    ]
    if changed:
        yield f"changed meanwhile: {_listed(changed)}"
    missing = _gone(before["sample"], after["sample"])
    gone = [ascii(path) for path in missing if path.partition("/")[0] not in cut]
    if gone:
        yield f"no longer there: {_listed(gone)}"


def _cut_short(was: dict[str, Any], now: dict[str, Any]) -> bool:
    """Return whether the time ran out while counting a home, before or after."""
    return was["files"] is None or now["files"] is None


def _gone(before: list[str], after: list[str]) -> list[str]:
    """Return the paths that are gone: if they existed, the second sample would contain them."""
    least = min(map(_number, after)) if len(after) == SAMPLE else 0
    return [path for path in before if path not in after and _number(path) >= least]


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


GUARANTEE = Homes()
