"""An upgrade prepared beside the live hub: the only downtime is one restart of the hub."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tljh_runbook.errors import InstallerFailed, RehearsalFailed
from tljh_runbook.hub.context import Source
from tljh_runbook.hub.core import config, copies
from tljh_runbook.hub.health import entry_points
from tljh_runbook.hub.runs.journal import Journal
from tljh_runbook.hub.software import rebuilding
from tljh_runbook.hub.upgrade.logins import requirement
from tljh_runbook.hub.upgrade.rehearse import deferred, forecast, rehearsal
from tljh_runbook.hub.upgrade.rehearse.forecast import Forecast
from tljh_runbook.hub.upgrade.stage import hand_edits, listening, stage
from tljh_runbook.hub.upgrade.stage.stage import Stage
from tljh_runbook.hub.upgrade.swap import rollback_plan, swap
from tljh_runbook.hub.upgrade.swap.rollback_plan import Way

ATTEMPTS = 3  # times to stage, if somebody changes the hub meanwhile


@dataclass(frozen=True)
class Prepared:
    """A staged upgrade, ready to be swapped in; ``base`` is the copied config.yaml."""

    stage: Stage
    base: str
    forecast: Forecast


def prepare(source: Source, upper: Path, log: Journal) -> Prepared:
    """Install and rehearse beside the live hub, without changing it.

    Raises what `stage.make`, `rebuilding.install` and `rehearsal.rehearse` raise, and `LoginsLost`;
    the stage is removed first.
    """
    log.phase("Copy the hub")
    base = rollback_plan.config_text(source.hub)
    made = stage.make(source, upper)
    try:
        log.phase("Install beside the live hub")
        edits = hand_edits.find(source, made, log.line)
        config.set_unset(made.copy, source.settings.upgrade.defaults)
        rebuilding.install(source, log.line, made)
        log.phase("Rehearse")
        rehearsal.require_targets(source, made)
        listening.require_same(source, entry_points.written(made.copy, source.hub.python))
        kept = rehearsal.rehearse(source, made, log.line)
        log.line("asking who could log in")
        compared = requirement.require(source, made)
        seen = forecast.of(source, made, kept, compared, edits)
    except InstallerFailed as error:
        error.add("The live hub was not touched.")
        stage.discard(source.hub)
        raise
    except BaseException:
        stage.discard(source.hub)
        raise
    return Prepared(made, base, seen)


def ready(source: Source, upper: Path, log: Journal, wait: Callable[[], None]) -> Prepared:
    """Prepare the upgrade and ``wait``; prepare it again if the hub has changed meanwhile.

    Raises what `prepare` and ``wait`` raise, and `Busy` if the hub has changed `ATTEMPTS` times.
    """
    for _ in range(ATTEMPTS):
        prepared = prepare(source, upper, log)
        deferred.carry_out(source, prepared.forecast, log)
        wait()
        changed = prepared.stage.outdated()
        if not changed:
            return prepared
        log.phase(f"Start again: somebody has changed {' and '.join(changed)} meanwhile")
    stage.discard(source.hub)
    raise deferred.unsteady(source)


def require_current(source: Source, prepared: Prepared) -> None:
    """Raise `Busy` if somebody has changed the hub right before the swap."""
    if prepared.stage.outdated():
        raise deferred.unsteady(source)


def plan(source: Source, prepared: Prepared) -> Way:
    """Return the rollback plan, with everything that will be replaced saved and synced to disk.

    The sync runs now because it takes long on a busy disk, and would add to the downtime later.
    """
    way = swap.plan(source, prepared.stage, prepared.base)
    rollback_plan.keep_files(way)
    copies.sync(source.hub.prefix)
    return way


def swap_in(source: Source, prepared: Prepared, way: Way, log: Journal) -> None:
    """Swap in the prepared upgrade, which stops the hub. Raises what `swap.carry_out` raises."""
    swap.carry_out(source, prepared.stage, way, prepared.base, log.phase)


def impossible(source: Source, why: str) -> RehearsalFailed:
    """Return the error for a hub whose upgrade cannot be prepared beside it."""
    return RehearsalFailed(
        f"An upgrade of {source.hub.prefix} cannot be rehearsed: {why}. Nothing was changed.",
        hint="It can be carried out in place all the same, and rolled back: tljh-runbook upgrade",
    )
