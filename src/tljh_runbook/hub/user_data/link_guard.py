"""Read users' files without following a link that is put in the place of a folder meanwhile.

restic opens files by their whole paths, as root. A user who exchanges a folder for a link to
``/root`` at the right moment would find root's files in the backup of the home. See nosymfollow in
mount(8).
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

from tljh_runbook.hub.core import mounts, trust

PROGRAM = "without_links.py"
PATIENCE = 30  # seconds
AUTOMOUNTED = "homes are mounted on demand, and would not be seen"


def command(folders: Sequence[Path]) -> list[str]:
    """Return the words that run what comes behind them without following links in ``folders``.

    None for an ordinary user, who can read nothing that belongs to others anyway.
    """
    if os.geteuid() != 0:
        return []
    source = resources.files(__package__ or "").joinpath(PROGRAM).read_text(encoding="utf-8")
    places = dict.fromkeys(str(_open_below(folder)) for folder in folders)
    return [sys.executable, "-I", "-c", source, *places, "--"]


def refused(folders: Sequence[Path]) -> str:
    """Say why this machine cannot read ``folders`` without following links; nothing if it can.

    No user can bring that about: it is tried with a folder of our own.
    """
    if os.geteuid() != 0:
        return ""  # there is no guard, as `command` says
    if mounts.on_demand(folders):
        return AUTOMOUNTED
    with tempfile.TemporaryDirectory() as own:
        try:
            done = subprocess.run(
                [*command([Path(own)]), "/bin/true"],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
                timeout=PATIENCE,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return str(error)
    return "" if not done.returncode else done.stderr.strip() or f"exit code {done.returncode}"


def _open_below(folder: Path) -> Path:
    """Return the topmost folder on the way to ``folder`` in which a user can exchange something."""
    path = folder.resolve()
    return next((each for each in (*reversed(path.parents), path) if trust.is_open(each)), path)
