"""Which snapshots are retained when old ones are removed, and why."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tljh_runbook.errors import SnapshotDamaged
from tljh_runbook.hub.context import Source
from tljh_runbook.hub.core import files
from tljh_runbook.hub.core.settings import KeepSettings
from tljh_runbook.hub.runs import lock
from tljh_runbook.hub.snapshots import snapshot
from tljh_runbook.hub.snapshots.snapshot import Snapshot
from tljh_runbook.hub.user_data import replicas
from tljh_runbook.hub.user_data.restic import repository

REMOVED = ".removed-"
MOMENT = "%Y%m%dT%H%M%SZ"  # the time format of snapshot names
Say = Callable[[str], None]
# All times in a period give the same text in its format.
PERIODS = {"daily": "%Y-%m-%d", "weekly": "%G week %V", "monthly": "%Y-%m"}


@dataclass(frozen=True)
class Judged:
    """A snapshot and the reasons to retain it; without a reason, it is removed."""

    id: str
    size: int
    reasons: tuple[str, ...]

    @property
    def kept(self) -> bool:
        return bool(self.reasons)

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "kept": self.kept}


def judge(source: Source, needed: Mapping[str, str], say: Say = lambda _: None) -> list[Judged]:
    """Return each snapshot with the reasons to retain it, oldest first.

    ``needed`` maps snapshots that are needed elsewhere to the reason. A snapshot that cannot be
    read is retained: an administrator must look at it.
    """
    found: list[Snapshot] = []
    reasons: dict[str, list[str]] = {}
    for path in snapshot.listed(source.backups):
        reasons[path.name] = []
        try:
            found.append(snapshot.read(path))
        except SnapshotDamaged:
            reasons[path.name].append("cannot be read")
    sizes = {each.path.name: each.manifest.size for each in found}
    for each in found:
        if each.manifest.hub != str(source.hub.prefix):
            reasons[each.path.name].append("of another hub")
    own = [each for each in found if not reasons[each.path.name]]
    for name, why in [*_scheduled(own, source.settings.keep), *_needed(own, needed, say)]:
        reasons[name].append(why)
    return [Judged(name, sizes.get(name, 0), tuple(why)) for name, why in reasons.items()]


def remove(source: Source, judged: Sequence[Judged], say: Say = lambda _: None) -> None:
    """Remove the snapshots that are not retained, then the user data that only they reference.

    A partly removed snapshot is no longer listed. Raises what `repository.opened` raises if the
    repository is unavailable; by then, the snapshots have been removed.
    """
    with (
        files.disk_errors(source.backups, "What was removed so far is gone, the rest is whole."),
        lock.hold(source.hub, "the removal of old snapshots"),
    ):
        for each in judged:
            if not each.kept:
                say(f"Removing {each.id}")
                (source.backups / each.id).rename(source.backups / f"{REMOVED}{each.id}")
        files.sync_folder(source.backups)
        for left in source.backups.glob(f"{REMOVED}*"):
            shutil.rmtree(left)
        if (source.hub.work / repository.RECORD).exists():
            _forget(source, judged, say)


def _scheduled(found: list[Snapshot], keep: KeepSettings) -> list[tuple[str, str]]:
    """Return the name and reason of each snapshot that the settings retain.

    Snapshots with different components are counted separately: ten of the configuration alone do
    not displace the last one of everything. Likewise, snapshots in which homes were missing do not
    displace those that have them.
    """
    kinds: dict[tuple[object, ...], list[str]] = {}
    for each in reversed(found):
        kind = (bool(each.lost), *sorted(each.manifest.held))
        kinds.setdefault(kind, []).append(each.path.name)
    return [chosen for newest_first in kinds.values() for chosen in _chosen(newest_first, keep)]


def _chosen(newest_first: Sequence[str], keep: KeepSettings) -> list[tuple[str, str]]:
    """Return the name and reason of each snapshot of one kind that the settings retain."""
    kept = [(name, "last") for name in newest_first[: keep.last]]
    for period, form in PERIODS.items():
        kept += _last_of_each(newest_first, form, period, getattr(keep, period))
    return kept


def _last_of_each(
    newest_first: Sequence[str], form: str, period: str, count: int
) -> list[tuple[str, str]]:
    """Return the last snapshot in each of the newest ``count`` periods that have one."""
    last: dict[str, str] = {}
    for name in newest_first:
        moment = time.strptime(name.partition("-")[0], MOMENT)
        last.setdefault(time.strftime(form, moment), name)
    return [(name, period) for name in list(last.values())[:count]]


def _forget(source: Source, judged: Sequence[Judged], say: Say) -> None:
    """Remove data that no remaining snapshot references from the user data repository.

    A snapshot that exists only there, from before this server was reinstalled, is retained as long
    as the settings retain one of its age.
    """
    say("Removing user data that no snapshot names")
    opened = repository.opened(source)
    only_there = [name for name in replicas.names(opened) if name not in {x.id for x in judged}]
    kept = {name for name, _ in _chosen(only_there[::-1], source.settings.keep)}
    repository.forget(opened, kept | {each.id for each in judged if each.kept})


def _needed(found: list[Snapshot], elsewhere: Mapping[str, str], say: Say) -> list[tuple[str, str]]:
    """Return the name and reason of each snapshot retained regardless of the settings."""
    needed = list(elsewhere.items())
    upgraded = [each for each in found if each.reports.is_dir()]
    needed += [(each.path.name, "going back from the last upgrade") for each in upgraded[-1:]]
    needed += [(name, "the newest that is whole") for name in _newest_whole(found, say)]
    known = {each.path.name for each in found}
    return [(name, why) for name, why in needed if name in known]


def _newest_whole(found: list[Snapshot], say: Say) -> list[str]:
    """Return the newest snapshot that verifies, of those with the most components."""
    most = max((len(each.manifest.held) for each in found), default=0)
    whole = [each for each in found if len(each.manifest.held) == most]
    good = [each for each in whole if not each.lost]
    for each in reversed(good or whole):
        say(f"Verifying {each.path.name}")
        try:
            snapshot.verify(each.path)
        except SnapshotDamaged:
            continue
        return [each.path.name]
    return []
