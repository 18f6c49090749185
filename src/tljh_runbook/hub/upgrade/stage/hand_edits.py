"""Files that an administrator has edited by hand, and that TLJH's installer writes again.

They are known by what the installed version of TLJH would have written: its own code writes them
again in the stage, before the new version is there.
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

# The names are those of every release of TLJH since 0.2; tools that act on the server are recorded.
WRITE = """\
from tljh import installer
from tljh.config import HUB_ENV_PREFIX
installer.ensure_usergroups()
installer.ensure_jupyterhub_service(str(HUB_ENV_PREFIX))
"""
# Of these, what is changed may be shown; others can hold secrets.
SHOWN = {".service"}

Say = Callable[[str], None]
Edits = dict[Path, str]


def find(source: Source, made: Stage, say: Say) -> Edits:
    """Return the live files that differ from what the installed TLJH writes, and how.

    Nothing where that cannot be told; then ``say`` tells why. The stage is left as it was.
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
    """Return what an administrator has added or removed; nothing of a file that holds secrets."""
    if each.live.suffix not in SHOWN and each.live.name != SUDOERS.name:
        return ""
    before, after = (files.read(path).decode(errors="replace") for path in (each.staged, each.live))
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), n=0, lineterm="")
    return "\n".join([line for line in lines if not line.startswith(("---", "+++", "@@"))])
