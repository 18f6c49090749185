"""The pre-upgrade checks: every reason not to start an upgrade, with its remedy; read-only."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tljh_runbook.errors import (
    Busy,
    ConfigBroken,
    NoSpace,
    RestoreFailed,
    RunbookError,
    RunCutOff,
    SnapshotDamaged,
    SnapshotStale,
)
from tljh_runbook.hub.backup import restore
from tljh_runbook.hub.backup.components import every
from tljh_runbook.hub.context import Source
from tljh_runbook.hub.core import config, files
from tljh_runbook.hub.database import databases
from tljh_runbook.hub.health import entry_points, health, loaded
from tljh_runbook.hub.runs import journal, run_record
from tljh_runbook.hub.snapshots import snapshot
from tljh_runbook.hub.software import installer
from tljh_runbook.hub.upgrade import changes, removable, state_file
from tljh_runbook.hub.upgrade.check import breaking, security_check
from tljh_runbook.hub.upgrade.stage import listening, stage
from tljh_runbook.hub.upgrade.swap import newer, trial
from tljh_runbook.hub.user_data import user_data_check
from tljh_runbook.hub.versions import interpreter

# What was found, optionally with a warning, and with the commands to type for it.
Found = str | tuple[str, None, str] | tuple[str, None, str, tuple[str, ...]]
ROOM = 2 << 30  # bytes that an upgrade may need in addition to the hub's environment


@dataclass(frozen=True)
class Finding:
    """The result of one check; ``error`` is None unless the finding blocks an upgrade."""

    name: str
    found: str
    error: RunbookError | None = None
    warning: str = ""
    """What to do about a finding that does not block an upgrade."""
    commands: tuple[str, ...] = ()
    """The commands to type for it."""


def run(source: Source) -> list[Finding]:
    """Run every check, even if others fail."""
    files.make_private(source.hub.work)
    _idle(source)
    source = source.settled()
    return [_finding(name, check, source) for name, check in CHECKS.items()]


def _idle(source: Source) -> None:
    """Raise `Busy` while an upgrade or a restore runs: the hub may be unhealthy meanwhile.

    Raises `RunCutOff` after an upgrade that was cut off, `RestoreFailed` after such a restore.
    """
    for task, words in (("upgrade", "An upgrade"), ("restore", "A restore")):
        state = journal.state(source.hub, task)
        if state["running"] and state["events"][0]["pid"] != os.getpid():
            raise Busy(
                f"{words} of this hub runs now. Leave the hub alone until it has ended.",
                hint=f"See how it goes: tljh-runbook progress {task}",
            )
    unfinished = state_file.read(source.hub)
    if unfinished:
        raise RunCutOff(
            f"An upgrade that began at {unfinished.at} did not come to its end: it was "
            f"{unfinished.phase}.",
            hint="Bring it to its end first: tljh-runbook resume",
        )
    left = restore.cut_off(source.hub.work)
    if left:
        raise RestoreFailed(
            f"A restore of the snapshot {left['snapshot']} did not come to its end.",
            hint=f"Run it again first: tljh-runbook {left['typed']}",
        )


def require(source: Source) -> list[Finding]:
    """Run every check; raise the first error."""
    findings = run(source)
    for finding in findings:
        if finding.error:
            raise finding.error
    return findings


def fresh_snapshot(source: Source) -> snapshot.Snapshot:
    """Return the newest snapshot of all components, verified, if an upgrade may start from it.

    Raises `SnapshotStale`, `SnapshotMissing`, `SnapshotDamaged`.
    """
    snapshot.find(source.backups, None)
    all_of_it = (each for each in reversed(snapshot.listed(source.backups)) if _fits(each, source))
    path = next(all_of_it, None)
    if path is None:
        raise SnapshotStale(
            f"No snapshot in {source.backups} holds all components of {source.hub.prefix}.",
            hint=_BACKUP,
        )
    found = snapshot.verify(path)
    limit = source.settings.upgrade.snapshot_age
    if not 0 <= found.age + 1 <= limit * 60 + 1:
        raise SnapshotStale(
            f"The newest snapshot {found.path.name} is {found.age / 60:.0f} minutes old; an "
            f"upgrade starts from one of at most {limit}.",
            hint=_BACKUP,
        )
    return found


def _fits(path: Path, source: Source) -> bool:
    """Return whether a snapshot is of this hub and holds all components.

    A damaged one counts, so that it is reported.
    """
    try:
        kept = snapshot.read(path).manifest
    except SnapshotDamaged:
        return True
    whole = all(component.name in kept.components for component in every())
    return whole and kept.hub == str(source.hub.prefix)


_BACKUP = "Make one now: tljh-runbook backup"


def _finding(name: str, check: Callable[[Source], Found], source: Source) -> Finding:
    try:
        found = check(source)
        return Finding(name, found) if isinstance(found, str) else Finding(name, *found)
    except RunbookError as error:
        return Finding(name, error.message, error)


def _config(source: Source) -> str:
    """Read the settings, and load the configuration as the hub does at startup."""
    told = f"{len(config.read(source.hub))} settings in config.yaml"
    found = loaded.present(source)
    if found.wrong:
        raise ConfigBroken(
            f"The hub's configuration does not load: {found.wrong}. The hub would not start again "
            "either. Nothing was changed.",
            hint="Correct the file that is named, then run the same command again.",
        )
    # Another check says why: Python is gone, or no isolated mount namespace is allowed.
    return f"{told}; it was not loaded" if found.unknown else told


def _databases(source: Source) -> str:
    found = databases.find(source.hub, source.services, source.settings)
    with tempfile.TemporaryDirectory(dir=source.hub.work) as folder:
        # Checking the live file would block the hub; the copy is checked when it is made.
        for name, path in found.items():
            databases.copy(path, Path(folder) / name)
    return f"{', '.join(found)}: sound"


def _python(source: Source) -> Found:
    """Check that the hub's environment still has its Python, or that a replacement is installed."""
    why = interpreter.gone(source.hub)
    if not why:
        return "the one that the hub's environment was made with"
    interpreter.require(source.hub)
    warning = "The hub cannot run: its Python is gone, as after an upgrade of the operating system."
    hint = "An upgrade makes its environment again, at the same versions: tljh-runbook upgrade"
    return why, None, f"{warning} {hint}"


def _hub(source: Source) -> str:
    if interpreter.gone(source.hub):
        return "cannot run, for want of its Python"
    configured = entry_points.configured(source.hub)  # report errors in the settings first
    seen = health.require(source.hub, source.services)
    listening.require_same(source, configured)
    return f"JupyterHub {seen.version} answers, its login page too"


def _space(source: Source) -> str:
    free = shutil.disk_usage(source.hub.prefix).free
    if free < ROOM:
        free += newer.room(source.hub)
    if free < ROOM:
        raise NoSpace(
            f"The disk that holds {source.hub.prefix} has {free >> 20} MB free; an upgrade may "
            f"need {ROOM >> 20}.",
            hint=f"Free some room first. {removable.advice(source.hub)}",
        )
    return f"at least {ROOM >> 30} GB free"


def _installer(source: Source) -> str:
    return f"{installer.script(source).name} is in its place"


def _snapshot(source: Source) -> str:
    return f"{fresh_snapshot(source).path.name}, verified"


def _changes(source: Source) -> str:
    source.targets.require()
    wanted = [*changes.software(source), *changes.settings(source)]
    found = ", ".join(f"{each.name} {each.before} → {each.after}" for each in wanted)
    return "; ".join([found or "none: everything is as asked", *changes.remarks(source)])


def _scheduled(source: Source) -> Found:
    """Check the scheduled runs: a failure may have gone unnoticed."""
    for task in run_record.TASKS:
        seen = run_record.seen(source.hub, task)
        if seen.cut_off or (seen.last and seen.last["error"]):
            hint = f"Run it by hand, and see what it says: tljh-runbook scheduled {task}"
            return f"the last {task} failed", None, f"The last scheduled {task} failed. {hint}"
    return "no run has failed"


def _way(source: Source) -> Found:
    """Return how the upgrade would be done, and why not beside the live hub."""
    stage.require_folders(source.hub)
    trial.require(source.hub, trial.replaced(source))
    if source.settings.upgrade.in_place:
        return "in place, as the settings ask: the hub is away while the installer runs"
    upper = stage.upper(source)
    if isinstance(upper, str):
        found = "in place: the hub is away while the installer runs"
        return found, None, f"An upgrade cannot be prepared beside the live hub: {upper}."
    return "prepared beside the live hub: the hub is away for one restart"


CHECKS: dict[str, Callable[[Source], Found]] = {
    "configuration": _config,
    "databases": _databases,
    "python": _python,
    "hub": _hub,
    "disk": _space,
    "installer": _installer,
    "way": _way,
    "snapshot": _snapshot,
    "user data": user_data_check.look,
    "scheduled": _scheduled,
    "security": security_check.check,
    "changes": _changes,
    "releases": breaking.check,
}
