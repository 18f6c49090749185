"""Protection against links that a user swaps in for a folder while a backup reads it.

restic opens files by their full paths, as root. A user who replaces a folder with a link to
``/root`` at the right moment would get root's files into the backup of the home. See nosymfollow
in mount(8).
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
    """Return a command prefix that prevents following links in ``folders``.

    Empty for an unprivileged user, who cannot read other users' files anyway.
    """
    if os.geteuid() != 0:
        return []
    source = resources.files(__package__ or "").joinpath(PROGRAM).read_text(encoding="utf-8")
    places = dict.fromkeys(str(_open_below(folder)) for folder in folders)
    return [sys.executable, "-I", "-c", source, *places, "--"]


def refused(folders: Sequence[Path]) -> str:
    """Return why this machine cannot read ``folders`` without following links; '' if it can.

    Users cannot make this check fail: it runs on a temporary folder of our own.
    """
    if os.geteuid() != 0:
        return ""  # no guard needed, see `command`
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
    """Return the topmost folder on the path to ``folder`` whose entries a user can replace."""
    path = folder.resolve()
    return next((each for each in (*reversed(path.parents), path) if trust.is_open(each)), path)
