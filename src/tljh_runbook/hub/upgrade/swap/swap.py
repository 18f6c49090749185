"""The swap: the prepared version goes live while the hub is stopped."""

from __future__ import annotations

import os
from pathlib import Path

from tljh_runbook.hub.context import Source
from tljh_runbook.hub.core.layout import ENVIRONMENTS
from tljh_runbook.hub.database import databases
from tljh_runbook.hub.snapshots import exchange
from tljh_runbook.hub.system import services
from tljh_runbook.hub.upgrade.stage import managed_files, merge, stage
from tljh_runbook.hub.upgrade.stage.stage import Stage
from tljh_runbook.hub.upgrade.swap import rollback_plan
from tljh_runbook.hub.upgrade.swap.environment_swap import NEW
from tljh_runbook.hub.upgrade.swap.rollback_plan import Phase, Way


def plan(source: Source, prepared: Stage, base: str) -> Way:
    """Return the rollback plan of a staged upgrade, before the swap.

    ``base`` is config.yaml as it was copied.
    """
    hub, copy = source.hub, prepared.copy
    carried = managed_files.changed(source, prepared)
    text = merge.merge(base, rollback_plan.config_text(hub), rollback_plan.config_text(copy)).text
    return _way(
        source,
        environments={
            name: (_inode(hub.prefix / name), _inode(copy.prefix / name))
            for name in prepared.prints
        },
        files=[*(each.live for each in carried), hub.config_file],
        proxy=managed_files.restarts_proxy(source, prepared, carried),
        config=text,
    )


def plan_in_place(source: Source) -> Way:
    """Return the rollback plan of an upgrade in place, which restores the copies."""
    hub, copy = source.hub, stage.place(source.hub)
    present = [name for name in ENVIRONMENTS if (copy.prefix / name).exists()]
    return _way(
        source,
        environments={
            name: (_inode(copy.prefix / name), _inode(hub.prefix / name)) for name in present
        },
        files=[*managed_files.places(source), hub.config_file],
        proxy=True,
        config="",
    )


def _way(
    source: Source,
    environments: dict[str, tuple[int, int]],
    files: list[Path],
    *,
    proxy: bool,
    config: str,
) -> Way:
    found = databases.find(source.hub, source.services, source.settings)
    return Way(
        folder=str(stage.place(source.hub).prefix),
        environments=environments,
        files={str(path): os.path.lexists(path) for path in files},
        databases={
            name: str(path.resolve()) for name, path in found.items() if isinstance(path, Path)
        },
        servers=[name for name, place in found.items() if not isinstance(place, Path)],
        proxy=proxy,
        config=config,
    )


def carry_out(source: Source, prepared: Stage, way: Way, base: str, phase: Phase) -> None:
    """Swap in the prepared version; the hub is stopped, and not yet started again.

    The files that it replaces were saved before. Raises `ServicesUnreachable` and `OSError`.
    """
    hub, manager = source.hub, source.services
    # Only files that were saved: another may have started to differ since.
    carried = [
        each for each in managed_files.changed(source, prepared) if str(each.live) in way.files
    ]
    phase("Stop the hub")
    manager.stop(services.HUB)
    phase("Put the new environments in their place")
    rollback_plan.keep_databases(way)
    rollback_plan.bring(hub, way, NEW)
    for each in carried:
        exchange.copy_file(each.staged, each.live)
    merge.write(hub, base, rollback_plan.config_text(prepared.copy))
    link = managed_files.link(hub)
    if not os.path.lexists(link) and link.parent.is_dir():
        link.symlink_to(hub.environment / "bin" / "tljh-config")
    if manager.stale() or source.settings.services == "supervisor":
        manager.reload()
    if way.proxy:
        phase("Restart the proxy")
        manager.end(services.PROXY)
        manager.start(services.PROXY)


def _inode(path: Path) -> int:
    return path.stat().st_ino
