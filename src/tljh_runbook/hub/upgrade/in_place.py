"""An upgrade in the live environments, for hubs where none can be prepared beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tljh_runbook.hub.context import Source
from tljh_runbook.hub.core import config, copies
from tljh_runbook.hub.core.layout import ENVIRONMENTS
from tljh_runbook.hub.runs.journal import Journal
from tljh_runbook.hub.software import rebuilding
from tljh_runbook.hub.system import services
from tljh_runbook.hub.upgrade.changes import Change
from tljh_runbook.hub.upgrade.stage import stage
from tljh_runbook.hub.upgrade.swap import rollback_plan, swap
from tljh_runbook.hub.upgrade.swap.rollback_plan import Way


def plan(source: Source, wanted: Sequence[Change], log: Journal) -> Way:
    """Save what a rollback needs. Raises `ServerUnfit`, `NoSpace`, `DiskFailed`.

    If it fails, the copies are removed.
    """
    stage.require_folders(source.hub)
    log.phase("Copy the hub")
    stage.discard(source.hub)
    try:
        stage.copy_environments(source.hub, ENVIRONMENTS if wanted else ())
        way = swap.plan_in_place(source)
        rollback_plan.keep_files(way)
        rollback_plan.keep_databases(way)
        rollback_plan.keep_dumps(source, way)
        copies.sync(stage.place(source.hub).prefix)
    except BaseException:
        stage.discard(source.hub)
        raise
    return way


def install(source: Source, wanted: Sequence[Change], way: Way, log: Journal) -> Way:
    """Install into the live hub and restart it; return the rollback plan with the new settings.

    Raises `InstallerFailed`, `ServicesUnreachable`.
    """
    manager = source.services
    pids = {name: manager.pid(name) for name in (services.PROXY, services.HUB)}
    log.phase("Set the settings that are unset")
    config.set_unset(source.hub, source.settings.upgrade.defaults)
    late = False
    if wanted:
        log.phase("Install")
        late = rebuilding.install(source, log.line)
    for name, pid in pids.items():
        # The installer restarts both services. Skip those that it has restarted, except the hub if
        # a package was installed after that.
        old = manager.pid(name) == pid
        if (old and (wanted or name == services.HUB)) or (late and name == services.HUB):
            log.phase(f"Restart {name}")
            manager.restart(name)
    return replace(way, config=rollback_plan.config_text(source.hub))
