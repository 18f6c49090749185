"""The upgrade: prepare beside the live hub, swap, verify; roll back on failure."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path

from tljh_runbook.errors import RunbookError
from tljh_runbook.hub.context import Source
from tljh_runbook.hub.core import files
from tljh_runbook.hub.health import health
from tljh_runbook.hub.runs.journal import Journal
from tljh_runbook.hub.servers.probe import Target, targets
from tljh_runbook.hub.servers.watch import Watch
from tljh_runbook.hub.system import services
from tljh_runbook.hub.upgrade import (
    beside,
    changes,
    confirmation,
    guarantees,
    in_place,
    state_file,
    verification,
)
from tljh_runbook.hub.upgrade.beside import Prepared
from tljh_runbook.hub.upgrade.changes import Change
from tljh_runbook.hub.upgrade.check import checks
from tljh_runbook.hub.upgrade.finish import ending
from tljh_runbook.hub.upgrade.guarantees import Measures
from tljh_runbook.hub.upgrade.guarantees.logins import GUARANTEE as LOGINS
from tljh_runbook.hub.upgrade.guarantees.servers import GUARANTEE as SERVERS
from tljh_runbook.hub.upgrade.quiet import Window
from tljh_runbook.hub.upgrade.report import report
from tljh_runbook.hub.upgrade.report.report import Report
from tljh_runbook.hub.upgrade.stage import stage
from tljh_runbook.hub.upgrade.state_file import Mark
from tljh_runbook.hub.upgrade.swap import newer
from tljh_runbook.hub.upgrade.swap.rollback_plan import Way
from tljh_runbook.hub.versions import versions
from tljh_runbook.hub.versions.targets import only_fixes


def work(source: Source, log: Journal) -> None:
    """Upgrade the hub as a recorded run. Raises what `run` raises, and `GuaranteeBroken`."""
    done = run(source, log)
    log.report = done.to_json()
    verification.require_kept(done.verdicts)


def run(source: Source, log: Journal) -> Report:
    """Upgrade the hub according to its settings, and verify the guarantees.

    Changes and restarts nothing if the hub is up to date. An upgrade that was cut off is finished
    first. Raises what `checks.require`, `beside.ready` and `installer.run` raise, `VersionUnknown`,
    and `UpgradeRolledBack`.
    """
    if state_file.read(source.hub):
        ending.resume(source, log)
    start, moment = time.monotonic(), time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    log.phase("Compare what is installed with what is asked")
    source, wanted = _resolved(source)
    if not wanted:
        health.require(source.hub, source.services)
        return Report(changed=False, at=moment, confirm_until=confirmation.until(source.hub))
    unfinished = _begin(source, moment, log)
    ready = _prepare(source, unfinished, wanted, log)
    probed_after = log.seconds
    with Watch(ready.targets, ready.mark.before[SERVERS.name]) as watch:
        _swap(source, ready, watch, log)
        before, verdicts = ending.proved(source, log, watch)
    done = Report(
        changed=True,
        at=moment,
        snapshot=unfinished.snapshot,
        page=str(report.file(source, unfinished.snapshot, moment).with_suffix(".html")),
        seconds=round(time.monotonic() - start, 1),
        changes=report.changed(source, unfinished.labels, wanted),
        verdicts=verdicts,
        targets=source.targets.to_json(),
        outages=watch.outages(before[SERVERS.name]),
        probe_after=probed_after,
        probe_seconds=round(watch.probe.seconds, 2),
        forecast=ready.prepared.forecast.to_json() if ready.prepared else None,
        confirm_until=confirmation.until(source.hub),
        before=before,
    )
    report.keep(done, source)
    return done


def fix(source: Source, log: Journal) -> None:
    """Install only the fixes of known vulnerabilities; otherwise like `work`."""
    work(only_security(source), log)


def rehearse_fix(source: Source, log: Journal) -> None:
    """Rehearse `fix`."""
    rehearse(only_security(source), log)


def only_security(source: Source) -> Source:
    """Return the hub context with only the fixes of known vulnerabilities as targets."""
    wanted = replace(source.settings.upgrade, defaults={})
    settings = replace(source.settings, upgrade=wanted)
    return replace(source, settings=settings, resolved=only_fixes(source.hub, settings))


def rehearse(source: Source, log: Journal) -> None:
    """Rehearse the upgrade on copies, report what would change, and remove the copies.

    Raises what `beside.prepare` raises, and `NoSpace` and `RehearsalFailed`.
    """
    source, wanted = _resolved(source)
    upper = stage.upper(source)
    if isinstance(upper, str):
        raise beside.impossible(source, upper)
    if not wanted:
        log.report = {"changed": False, "would_change": False}
        return
    try:
        prepared = beside.prepare(source, upper, log)
    finally:
        stage.discard(source.hub)
    log.report = {
        "changed": False,
        "would_change": True,
        "targets": source.targets.to_json(),
        **prepared.forecast.to_json(),
    }


def _resolved(source: Source) -> tuple[Source, list[Change]]:
    """Resolve the target versions once; return the hub context with them, and the changes needed.

    Raises `VersionUnknown`.
    """
    settled = source.settled()
    settled.targets.require()
    return settled, [*changes.software(settled), *changes.settings(settled)]


def _begin(source: Source, moment: str, log: Journal) -> Mark:
    """Run the pre-upgrade checks and write the upgrade state."""
    log.phase("Check that nothing speaks against it")
    checks.require(source)
    kept = checks.fresh_snapshot(source)
    labels = versions.installed(source.hub).rows()
    asked = source.settings.upgrade.confirm_within
    unfinished = Mark(moment, state_file.STAGING, kept.path.name, labels, confirm_within=asked)
    return state_file.write(source.hub, unfinished)


@dataclass(frozen=True)
class Ready:
    """An upgrade that is ready for the swap, which is the first step to change the live hub.

    ``prepared`` is None for an upgrade in place.
    """

    software: list[Change]
    prepared: Prepared | None
    way: Way
    targets: dict[str, Target]
    mark: Mark


def _prepare(source: Source, unfinished: Mark, wanted: list[Change], log: Journal) -> Ready:
    """Prepare the upgrade without changing the live hub; a failure here ends the upgrade."""
    software = _software(wanted)
    if software:
        newer.forget(source.hub)
    upper = _upper(source) if software else None
    window = Window(source, log, source.settings.upgrade.quiet_within * 60)
    try:
        prepared = beside.ready(source, upper, log, window.wait) if upper else None
        way, measured = _last_look(source, software, prepared, window, log)
        if prepared:
            beside.require_current(source, prepared)
        # Not earlier: a user who has left by now does not count as lost.
        asked = targets(source)
        now = state_file.enter(
            source.hub, unfinished, state_file.SWAPPING, way=way.to_json(), before=measured
        )
    except BaseException:
        stage.discard(source.hub)
        state_file.end(source.hub)
        raise
    return Ready(software, prepared, way, asked, now)


def _swap(source: Source, ready: Ready, watch: Watch, log: Journal) -> None:
    """Swap in the new version and start it; roll back on failure."""
    way = ready.way
    try:
        with files.disk_errors(source.hub.prefix, "Not all of it had come to its place."):
            if ready.prepared:
                beside.swap_in(source, ready.prepared, way, log)
            else:
                way = in_place.install(source, ready.software, way, log)
        now = state_file.enter(source.hub, ready.mark, state_file.PROVING, way=way.to_json())
        log.phase("Start the hub")
        source.services.start(services.HUB)
        if ready.prepared:
            # These databases were saved while the hub was stopped, so nothing is missing from them.
            copies = {name: way.database(name) for name in way.databases}
            before = guarantees.when_stopped(now.before, copies)
            state_file.enter(source.hub, now, state_file.PROVING, before=before)
    except (RunbookError, OSError) as error:
        why = ending.cause(source, way, error)
        ending.back(source, replace(ready.mark, why=why), log, watch)
        raise ending.rolled_back(source, why) from error


def _last_look(
    source: Source, software: list[Change], prepared: Prepared | None, window: Window, log: Journal
) -> tuple[Way, Measures]:
    """Save what a rollback needs and measure the guarantees, during a quiet moment.

    This is the last step before the live hub is changed: until then users may stop their servers.
    Starts again if the hub has become busy meanwhile.
    """
    while True:
        window.wait()
        way = beside.plan(source, prepared) if prepared else in_place.plan(source, software, log)
        log.phase("Measure the guarantees")
        measured = guarantees.measure(source, _known(prepared))
        steady = health.unsteady(source.services, source.settings.upgrade.healthy_for)
        measured |= {verification.UNSTEADY: steady}
        if window.lasts():
            return way, measured


def _known(prepared: Prepared | None) -> Measures:
    """Return what the rehearsal has already measured, because measuring it takes seconds."""
    return {LOGINS.name: prepared.forecast.logins.before.to_json()} if prepared else {}


def _software(wanted: list[Change]) -> list[Change]:
    return [each for each in wanted if each.before != "unset"]


def _upper(source: Source) -> Path | None:
    """Return the folder for staging the upgrade beside the hub; None for an upgrade in place."""
    upper = stage.upper(source)
    return None if source.settings.upgrade.in_place or isinstance(upper, str) else upper
