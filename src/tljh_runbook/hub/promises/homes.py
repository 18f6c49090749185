"""Users' files are all there."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from tljh_runbook.hub.snapshot import Source

# What running servers make and remove all the time.
VOLATILE = {".cache", ".ipynb_checkpoints", "runtime"}
VOLATILE_ENDS = ("-journal", "-wal", "-shm", ".pid", ".lock", "~")
NAMED = 5  # missing files that a verdict names


class Homes:
    name = "user data"
    vow = "Every file in the home directories is still there."
    order = 5

    def measure(self, source: Source) -> Any:
        homes = Path(source.settings.homes)
        return sorted(_entries(homes)) if homes.is_dir() else []

    def judge(self, before: Any, after: Any) -> tuple[bool, str]:
        missing = sorted(set(before) - set(after))
        if missing:
            named = ", ".join(map(ascii, missing[:NAMED]))
            more = f" and {len(missing) - NAMED} more" if len(missing) > NAMED else ""
            return False, f"missing: {named}{more}"
        return True, f"{len(before)} files and folders, none missing"


def _entries(homes: Path) -> list[str]:
    found: list[str] = []
    # By descriptors, so that nobody can exchange a folder for a link while it is walked.
    for folder, below, names, _ in os.fwalk(homes, follow_symlinks=False):
        below[:] = [name for name in below if name not in VOLATILE]
        relative = os.path.relpath(folder, homes)
        kept = [name for name in [*below, *names] if not name.endswith(VOLATILE_ENDS)]
        found += [os.path.normpath(f"{relative}/{name}") for name in kept]
    return found


PROMISE = Homes()
