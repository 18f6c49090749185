"""Manual edits in files that TLJH's installer overwrites.

To find them, the installed version of TLJH writes these files again, in the stage and before the
new version is installed there. A file that differs was edited.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from pathlib import Path

from tljh_runbook.hub.backup.components.services import SUDOERS
from tljh_runbook.hub.context import Source
from tljh_runbook.hub.core import files
from tljh_runbook.hub.snapshots import exchange
from tljh_runbook.hub.system import cause
from tljh_runbook.hub.upgrade.stage import managed_files, stage
from tljh_runbook.hub.upgrade.stage.managed_files import Carried
from tljh_runbook.hub.upgrade.stage.stage import Stage
from tljh_runbook.hub.versions import interpreter

# These functions exist in every TLJH release since 0.2. Tools that act on the server are only
# recorded.
WRITE = """\
from tljh import installer
from tljh.config import HUB_ENV_PREFIX
installer.ensure_usergroups()
installer.ensure_jupyterhub_service(str(HUB_ENV_PREFIX))
"""
# Only the edits of these may be shown: other files can contain secrets.
SHOWN = {".service"}

Say = Callable[[str], None]
Edits = dict[Path, str]


def find(source: Source, made: Stage, say: Say) -> Edits:
    """Return the live files that differ from what the installed TLJH writes, and the differences.

    Returns nothing if that is unknown; then ``say`` gets the reason. Restores the stage afterwards.
    """
    if interpreter.gone(source.hub):
        return {}
    command = [str(source.hub.python), "-c", WRITE]
    done = made.run(command, interpreter.environment(source.hub), source.hub.work)
    (stage.beside(source.hub) / "asked").unlink(missing_ok=True)
    differ = [each for each in managed_files.changed(source, made) if each.live.is_file()]
    found = {
        each.live: _difference(each) for each in differ if each.live.name != managed_files.LOG.name
    }
    for each in differ:
        exchange.copy_file(each.live, each.staged)
    if done.returncode:
        say(f"not known which files were edited by hand: {cause.of(done.stdout)}")
        return {}
    return found


def _difference(each: Carried) -> str:
    """Return the lines that were added or removed; empty if the file may hold secrets."""
    if each.live.suffix not in SHOWN and each.live.name != SUDOERS.name:
        return ""
    before, after = (files.read(path).decode(errors="replace") for path in (each.staged, each.live))
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), n=0, lineterm="")
    return "\n".join([line for line in lines if not line.startswith(("---", "+++", "@@"))])
