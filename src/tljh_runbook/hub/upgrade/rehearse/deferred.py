"""The deferred system changes that the staged installer recorded, applied before the swap.

System packages and groups are only ever added, so they do not affect the live hub.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence

from tljh_runbook.errors import Busy, InstallerFailed
from tljh_runbook.hub.context import Source
from tljh_runbook.hub.core import disk
from tljh_runbook.hub.runs.journal import Journal
from tljh_runbook.hub.software import installer
from tljh_runbook.hub.upgrade.rehearse.forecast import Forecast

GROUPS = (["groupadd", "--force"], ["groupadd", "-f"])


def carry_out(source: Source, forecast: Forecast, log: Journal) -> None:
    """Install the missing system packages and add the groups. Raises `InstallerFailed`."""
    missing = forecast.apt
    if missing:
        log.phase("Install the missing system packages")
        _run(source, ["apt-get", "install", "--yes", "--", *missing])
    for words in forecast.asked:
        if words[:2] in GROUPS and len(words) == 3:
            _run(source, words)


def unsteady(source: Source) -> Busy:
    """Return the error for a hub that changes while its upgrade is prepared."""
    return Busy(
        f"Somebody installs packages into the environments of {source.hub.prefix} all the time, "
        "so no upgrade can be prepared. Nothing was changed.",
        hint="Ask who it is to wait, then run it again: tljh-runbook upgrade",
    )


def _run(source: Source, command: Sequence[str]) -> None:
    done = subprocess.run(
        list(command),
        env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    installer.note(source.hub, done.stdout)
    if done.returncode:
        raise InstallerFailed(
            f"{command[0]} ended with {done.returncode}."
            f"{disk.blamed(done.stdout, *installer.written(source.hub))} "
            "The live hub was not touched.",
            hint=f"Do it by hand, and see what it says: sudo {' '.join(command)}",
        )
