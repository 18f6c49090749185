"""Finish an upgrade: verify and commit it, or roll it back; also after a power cut."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from pathlib import Path

from tljh_runbook.errors import (
    Busy,
    HubUnhealthy,
    NoSpace,
    NothingToRollBack,
    RunbookError,
    UpgradeRolledBack,
)
from tljh_runbook.hub.context import Source
from tljh_runbook.hub.core import copies, disk, files
from tljh_runbook.hub.core.layout import Hub
from tljh_runbook.hub.database import databases
from tljh_runbook.hub.runs import lock
from tljh_runbook.hub.runs.journal import Journal
from tljh_runbook.hub.servers.probe import targets
from tljh_runbook.hub.servers.watch import Watch
from tljh_runbook.hub.system import services
from tljh_runbook.hub.upgrade import confirmation, guarantees, state_file, verification
from tljh_runbook.hub.upgrade.guarantees import Measures, Verdict
from tljh_runbook.hub.upgrade.guarantees.servers import GUARANTEE as SERVERS
from tljh_runbook.hub.upgrade.report import report
from tljh_runbook.hub.upgrade.report.report import Report
from tljh_runbook.hub.upgrade.stage import stage
from tljh_runbook.hub.upgrade.state_file import Mark
from tljh_runbook.hub.upgrade.swap import newer, previous, rollback_plan, trial
from tljh_runbook.hub.upgrade.swap.rollback_plan import Way
from tljh_runbook.hub.versions import interpreter, versions

BEYOND = {"user data", "images"}  # guarantees that a rollback would not repair
RESUME = "tljh-runbook resume"
CUT_OFF = "It was cut off before its end."
ASKED = {
    "versions",
    "settings",
}  # guarantees about the upgrade's own changes: a rollback reverts them


def proved(
    source: Source,
    log: Journal,
    watch: Watch | None = None,
    leave: Collection[str] = BEYOND,
) -> tuple[Measures, list[Verdict]]:
    """Verify the guarantees and commit the upgrade; roll it back if one is broken.

    Returns what was measured before, and the verdicts. Only a guarantee in ``leave``, by default
    those that a rollback would not repair, may be broken. Raises `UpgradeRolledBack`.
    """
    now = state_file.read(source.hub)
    if now is None or now.way is None:
        return {}, []
    way = Way(**now.way)
    try:
        log.phase("Wait for a healthy hub")
        before = verification.wait(source, now.before, watch)
        log.phase("Measure the guarantees again")
        after = guarantees.measure(source)
        # In this order: a server that has stopped by then does not count as lost.
        before = guarantees.investigate(before, source, watch.seen() if watch else None)
        verdicts = guarantees.judge(before, after)
        verification.require_kept([each for each in verdicts if each.guarantee not in leave])
    except (RunbookError, OSError) as error:
        why = cause(source, way, error)
        back(source, replace(now, why=why), log, watch)
        raise rolled_back(source, why) from error
    try:
        ended = confirmation.closed(source.hub, "the end of the upgrade")
        with _room(source, way, "The new version runs, and is proved."), ended:
            previous.keep(source, now)
            confirmation.ask(source, now)
    except Busy as error:
        raise Busy(
            "The new version runs, and is proved. The upgrade has not come to its end, because "
            "the one before is being confirmed.",
            hint="Bring the upgrade to its end: tljh-runbook resume",
        ) from error
    state_file.end(source.hub)
    return before, verdicts


@contextmanager
def _room(source: Source, way: Way, state: str) -> Iterator[None]:
    """Name the full disk in the error, and say how to finish the upgrade."""
    try:
        with files.disk_errors(source.hub.prefix, state):
            yield
    except NoSpace as error:
        told = disk.full(state, *_disks(source, way), then=f"bring it to its end: {RESUME}")
        state_file.relieve(source.hub)  # makes room for the journal to report it
        raise told from error


def _disks(source: Source, way: Way) -> list[Path]:
    """Return the places to which an upgrade, or its finish, writes."""
    live = (*way.files, *way.databases.values())
    return [source.hub.prefix, source.hub.work, *(Path(each).parent for each in live)]


def cause(source: Source, way: Way, error: Exception) -> str:
    """Return why an upgrade failed, and always name a disk that is full now."""
    told = str(error)
    return told if "mounted at" in told else told + disk.noticed(*_disks(source, way))


def back(source: Source, now: Mark, log: Journal, watch: Watch | None = None) -> Measures:
    """Roll back to the previous version, wait until it is healthy, and finish the upgrade.

    Returns what was measured before, like `verification.wait`.
    """
    if now.way is None:
        return now.before
    before = now.before
    way = _found(source.hub, Way(**now.way), now.at)
    with _room(source, way, "The old version is on its way back, and the hub may be stopped."):
        now = _enter_back(source.hub, replace(now, way=asdict(way)))
        log.phase("Roll the upgrade back")
        rollback_plan.go(source, way, log.phase)
    if not interpreter.gone(source.hub):  # otherwise it was down before, too
        before = _wait(source, now, log, watch)
    with _room(source, way, "The old version is in its place."):
        previous.keep_newer_databases(source, way, now.at)
        # The rollback is done: a resume must not use what remains of the rollback plan.
        now = state_file.enter(source.hub, now, state_file.STAGING)
    _discard(source.hub, now)
    return before


def _enter_back(hub: Hub, now: Mark) -> Mark:
    """Write the rollback phase; optional if a resume would roll back anyway.

    In that case a full disk does not block the rollback.
    """
    try:
        return state_file.enter(hub, now, state_file.BACK)
    except NoSpace:
        left = state_file.read(hub)
        if left is None or not left.half_done:
            raise
        return now


def _found(hub: Hub, way: Way, at: str) -> Way:
    """Return the rollback plan of the upgrade ``at``, or the retained one if it was committed.

    The old environments have moved already when an upgrade is cut off between its commit and the
    removal of its state file.
    """
    if not Path(way.folder).exists():
        with suppress(NothingToRollBack):
            kept = previous.read(hub)
            return kept.way if kept.at == at else way
    return way


def _discard(hub: Hub, now: Mark) -> None:
    """Remove what an upgrade has prepared, retain what a rollback replaced, and finish it."""
    if now.way is not None:
        newer.retain(hub, Way(**now.way))
    stage.discard(hub)
    state_file.end(hub)


def _wait(source: Source, now: Mark, log: Journal, watch: Watch | None) -> Measures:
    log.phase("Wait for a healthy hub")
    try:
        return verification.wait(source, now.before, watch)
    except HubUnhealthy as error:
        why = f" Why: {now.why}" if now.why else ""
        error.add(f"The upgrade was rolled back before: the old version is in its place.{why}")
        if full := now.way and disk.noticed(*_disks(source, Way(**now.way))):
            error.add(f"{full.strip()} Free some room, then: {RESUME}")
        raise


def resume(source: Source, log: Journal) -> bool:
    """Finish an upgrade that was cut off: commit the new version, or roll back.

    Returns whether there was one. Raises `UpgradeRolledBack` if the new version is not healthy.
    """
    left = state_file.read(source.hub)
    if left is None:
        return False
    log.phase("Bring the upgrade that was cut off to its end")
    if left.phase == state_file.STAGING:
        _discard(source.hub, left)
    elif left.phase == state_file.PROVING:
        source.services.start(services.PROXY)
        source.services.start(services.HUB)
        # Whatever stopped this upgrade, such as a reboot, may have stopped users' servers as well.
        proved(source, log, leave=BEYOND | {SERVERS.name})
    else:
        back(source, left, log)
    return True


def go_back_at_boot(source: Source) -> None:
    """Restore the old files at boot, before the hub starts, if an upgrade is half done.

    Neither stops nor starts a service: systemd holds both back until this is done. The upgrade is
    finished later. Raises `Busy`, and what rolling back raises.
    """
    left = state_file.read(source.hub)
    half = left is not None and left.half_done
    running = [name for name in (services.HUB, services.PROXY) if source.services.pid(name)]
    if left is None or left.way is None or not half or running:
        return
    way = Way(**left.way)
    state = "The old version is on its way back, and the hub is stopped."
    with lock.hold(source.hub, "the way back"), _room(source, way, state):
        _enter_back(source.hub, left)
        rollback_plan.go_stopped(source, way)


def roll_back_unconfirmed(source: Source, log: Journal, at: str) -> None:
    """Roll back like `roll_back`, unless the upgrade started ``at`` has been confirmed."""
    log.report = {"changed": False}
    resume(source, log)  # a later upgrade may have been cut off: its rollback plan must not be lost
    with confirmation.closed(source.hub, "the way back") as open_:
        if open_ is None or open_.at != at:
            log.phase("The upgrade needs no confirmation any more: nothing was changed")
            return
        why = f"Nobody has confirmed the upgrade of {at} until {open_.until}."
        log.phase(why)
        _roll_back(source, log, why)


def roll_back(source: Source, log: Journal) -> None:
    """Roll back the last upgrade and verify the guarantees.

    An upgrade that was cut off is finished first; if that restores the previous version, nothing
    more is done. Raises `NothingToRollBack`, `GuaranteeBroken`, and what rolling back raises.
    """
    left = state_file.read(source.hub)
    if left and left.half_done:
        _bring_to_end(source, log, left)
        return
    resume(source, log)
    with confirmation.closed(source.hub, "the way back"):  # a concurrent confirmation gets an error
        _roll_back(source, log)


def _roll_back(source: Source, log: Journal, why: str = "") -> None:
    start, moment = time.monotonic(), time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    kept = previous.read(source.hub)
    stage.require_folders(source.hub)
    trial.require(source.hub, map(Path, (*kept.way.files, *kept.way.databases.values())))
    labels = versions.installed(source.hub).rows()
    log.phase("Measure the guarantees")
    measured = {
        name: each for name, each in guarantees.measure(source).items() if name not in ASKED
    }
    returned = rollback_plan.migrated_databases(source, kept.way)
    now = Mark(moment, state_file.BACK, kept.snapshot, labels, measured, asdict(kept.way), why=why)
    copies.sync(source.hub.prefix)  # now, because later it would add to the downtime
    found = databases.find(source.hub, source.services, source.settings)
    with Watch(targets(source), measured[SERVERS.name]) as watch:
        state_file.reserve(source.hub, now, "Nothing was changed.")
        state_file.write(source.hub, now)
        source.services.stop(services.HUB)
        # From here on, nothing writes to the databases.
        now = replace(now, before=guarantees.when_stopped(measured, found))
        before = back(source, now, log, watch)
        confirmation.forget(source.hub)
        after = guarantees.measure(source)
        before = guarantees.investigate(before, source, watch.seen())
        verdicts = guarantees.judge(guarantees.known_to_both(returned, before, after), after)
        _tell_what_went(guarantees.judge(before, after), verdicts, log)
    log.report = Report(
        changed=True,
        at=moment,
        snapshot=kept.snapshot,
        seconds=round(time.monotonic() - start, 1),
        changes=report.changed(source, labels),
        verdicts=verdicts,
        outages=watch.outages(before[SERVERS.name]),
        why=why,
    ).to_json()
    verification.require_kept(verdicts, back_to=kept.snapshot)


def _tell_what_went(all_: list[Verdict], judged: list[Verdict], log: Journal) -> None:
    """Log what only the retained newer databases contain, which breaks no guarantee."""
    for whole, each in zip(all_, judged, strict=True):
        if whole.kept is False and whole.measured != each.measured:
            log.phase(f"Only the newer database knows: {whole.measured}")


def bring_to_end(source: Source, log: Journal) -> None:
    """Resume as a recorded run.

    Raises what `resume` raises, and `UpgradeRolledBack` if it rolls back.
    """
    left = state_file.read(source.hub)
    _bring_to_end(source, log, left)
    if left and left.rolls_back:
        raise rolled_back(source, left.why or CUT_OFF)


def _bring_to_end(source: Source, log: Journal, left: Mark | None) -> None:
    labels = versions.installed(source.hub).rows()
    resumed = resume(source, log)
    moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    changes = report.changed(source, labels)
    # Anyone who follows the upgrade remotely must not mistake this success for the upgrade's.
    why = (left.why or CUT_OFF) if left and left.phase != state_file.PROVING else ""
    until = confirmation.until(source.hub)
    log.report = Report(
        changed=resumed, at=moment, changes=changes, why=why, confirm_until=until
    ).to_json()


def rolled_back(source: Source, why: str) -> UpgradeRolledBack:
    """Return the error for an upgrade that was rolled back automatically."""
    rows = versions.installed(source.hub).rows()
    labels = ", ".join(f"{name} {label}" for name, label in rows.items())
    gone = interpreter.gone(source.hub)
    state = f"does not run, as before: {gone}" if gone else f"runs as before ({labels})"
    return UpgradeRolledBack(
        f"The upgrade was rolled back, and the hub {state}. Why: {why}",
        hint="Users' servers ran on. Correct the cause, then rehearse first: tljh-runbook rehearse",
    )
