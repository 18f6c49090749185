"""The previous version, retained as long as the upgrade can be rolled back."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from tljh_runbook.errors import NothingToRollBack
from tljh_runbook.hub.context import Source
from tljh_runbook.hub.core import copies, files
from tljh_runbook.hub.core.layout import Hub
from tljh_runbook.hub.software import installed
from tljh_runbook.hub.software.installed import Packages
from tljh_runbook.hub.upgrade.stage import stage
from tljh_runbook.hub.upgrade.state_file import Mark
from tljh_runbook.hub.upgrade.swap import environment_swap
from tljh_runbook.hub.upgrade.swap.environment_swap import KEPT
from tljh_runbook.hub.upgrade.swap.rollback_plan import Way
from tljh_runbook.hub.versions import interpreter

RECORD = "record.json"


@dataclass(frozen=True)
class Previous:
    """The retained previous version: the upgrade that it belongs to, and the rollback plan."""

    at: str
    snapshot: str
    labels: dict[str, str]
    way: Way
    installed: Packages = field(default_factory=dict)
    """The packages of each environment right after the upgrade; empty if not recorded."""


def keep(source: Source, ended: Mark) -> None:
    """Retain the old environments of a successful upgrade, if the settings ask for it.

    Removes those of an earlier upgrade, unless this one changed only settings. Safe to call again
    after it was cut off.
    """
    hub = source.hub
    left = stage.place(hub).prefix
    if ended.way is None or not left.exists():
        return
    wanted = source.settings.upgrade.keep_previous or ended.confirm_within
    if not (wanted and ended.way["environments"]):
        if ended.way["environments"]:
            copies.remove(
                hub.previous
            )  # without a rollback plan for this upgrade, the earlier one is useless
        stage.discard(hub)
        return
    way = Way(**ended.way)
    environment_swap.retain_old(left, way.environments)
    way = replace(way, folder=str(hub.previous))
    record = Previous(ended.at, ended.snapshot, ended.labels, way, _installed(hub))
    files.replace(left / KEPT / RECORD, json.dumps(asdict(record)).encode())
    copies.remove(hub.previous)
    left.rename(hub.previous)
    files.sync_folder(hub.prefix)
    stage.discard(hub)


def _installed(hub: Hub) -> Packages:
    """Return the packages for the rollback preview; an error must not fail the upgrade."""
    with suppress(OSError, ValueError):
        return installed.record(hub)
    return {}


def read(hub: Hub) -> Previous:
    """Return the previous version, if it is retained and can run. Raises `NothingToRollBack`."""
    try:
        values: dict[str, Any] = json.loads(files.read(hub.previous / KEPT / RECORD))
        found = Previous(**{**values, "way": Way(**values["way"])})
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise NothingToRollBack(
            f"No previous version is kept in {hub.previous}. Nothing was changed.",
            hint="Restore the snapshot that the upgrade started from: tljh-runbook restore",
        ) from error
    gone = interpreter.gone(Hub(hub.previous))
    if gone:
        raise NothingToRollBack(
            f"The previous version cannot run on this server any more: {gone}. "
            "Nothing was changed.",
            hint="Restore the snapshot that the upgrade started from: tljh-runbook restore",
        )
    return found


def keep_newer_databases(source: Source, way: Way, at: str) -> None:
    """Save the databases of the newer version that were replaced by the old ones."""
    newer = way.kept / "newer"
    if newer.exists():
        target = source.hub.work / f"taken-back-{at}"
        copies.remove(target)
        copies.copy(newer, target)
        copies.sync(target)
