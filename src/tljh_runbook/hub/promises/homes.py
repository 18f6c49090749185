"""Users' files are all there."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from tljh_runbook.errors import SettingsInvalid
from tljh_runbook.hub.source import Source

# What running servers make and remove all the time.
VOLATILE = {".cache", ".ipynb_checkpoints", "runtime", ".tljh-runbook"}
VOLATILE_ENDS = ("-journal", "-wal", "-shm", ".pid", ".lock", "~")
DEEPEST = 64  # folders below each other
NAMED = 5  # missing files that a verdict names


class Homes:
    name = "user data"
    vow = "Every file in the home directories is still there."
    order = 7

    def measure(self, source: Source) -> Any:
        homes = Path(source.settings.homes)
        if not homes.is_dir():
            raise SettingsInvalid(
                f"There is no folder {homes}, so nobody can tell whether users' files are kept.",
                hint=f"Name the folder of the home directories in {source.hub.settings_file}: "
                "homes: /path",
            )
        return sorted(_entries(homes))

    def judge(self, before: Any, after: Any) -> tuple[bool, str]:
        missing = sorted(set(before) - set(after))
        if missing:
            named = ", ".join(map(ascii, missing[:NAMED]))
            more = f" and {len(missing) - NAMED} more" if len(missing) > NAMED else ""
            return False, f"missing: {named}{more}"
        return True, f"{len(before)} files and folders, none missing"


def _entries(homes: Path) -> list[str]:
    """Return what is in the homes, by relative path; what lies too deep counts as its folder."""
    found: list[str] = []
    root = os.open(homes, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    waiting: list[tuple[str, ...]] = [()]
    try:
        while waiting:
            parts = waiting.pop()
            for name, is_folder in _listed(root, parts):
                found.append("/".join((*parts, name)))
                if is_folder and len(parts) < DEEPEST:
                    waiting.append((*parts, name))
    finally:
        os.close(root)
    return found


def _listed(root: int, parts: tuple[str, ...]) -> list[tuple[str, bool]]:
    """Return the names in one folder, and whether each is a folder itself.

    Every part is opened below the one before it and never through a link, so that nobody can lead
    us elsewhere by exchanging a folder for one. What has just gone away is empty.
    """
    folder = os.dup(root)
    try:
        for part in parts:
            flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
            below = os.open(part, flags, dir_fd=folder)
            os.close(folder)
            folder = below
        with os.scandir(folder) as entries:
            return [
                (entry.name, entry.is_dir(follow_symlinks=False))
                for entry in entries
                if entry.name not in VOLATILE and not entry.name.endswith(VOLATILE_ENDS)
            ]
    except OSError:
        return []
    finally:
        os.close(folder)


PROMISE = Homes()
