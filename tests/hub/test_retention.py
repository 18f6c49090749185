"""Old snapshots go as the settings say, and what may be needed never does."""

from __future__ import annotations

import hashlib
import shutil
import time
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as with_settings
from hypothesis import strategies as st

from tljh_runbook.errors import Busy
from tljh_runbook.hub.backup import capture, components, retention
from tljh_runbook.hub.context import Source
from tljh_runbook.hub.core.settings import KeepSettings
from tljh_runbook.hub.runs import lock
from tljh_runbook.hub.snapshots import manifest, snapshot
from tljh_runbook.hub.snapshots.snapshot import Snapshot
from tljh_runbook.hub.upgrade import state_file
from tljh_runbook.hub.upgrade.state_file import Mark
from tljh_runbook.hub.user_data import user_files
from tljh_runbook.hub.user_data.restic import repository

DAY = 86400
NOW = 1_790_000_000  # a Monday in 2026


def aged(source: Source, moment: float, *names: str) -> Path:
    """Make a snapshot, and seal it again as made at another moment."""
    made = capture.create(source, components.chosen(names or ["config", "plugin"]))
    name = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(moment))
    created = time.strftime(manifest.CREATED, time.gmtime(moment))
    changed = replace(made.manifest, id=name, created=created)
    return resealed(made, changed, source.backups / name)


def resealed(made: Snapshot, changed: manifest.Manifest, place: Path) -> Path:
    data = changed.to_bytes()
    (made.path / manifest.NAME).write_bytes(data)
    sums = manifest.sums(manifest.sealed(changed, hashlib.sha256(data).hexdigest()))
    (made.path / manifest.SUMS).write_bytes(sums)
    made.path.rename(place)
    snapshot.verify(place)
    return place


def keeping(source: Source, **keep: int) -> Source:
    wanted = KeepSettings(**{"last": 1, "daily": 0, "weekly": 0, "monthly": 0, **keep})
    return replace(source, settings=replace(source.settings, keep=wanted))


def kept(source: Source) -> dict[str, tuple[str, ...]]:
    return {
        each.id: each.reasons
        for each in retention.judge(source, state_file.needed_snapshots(source.hub))
        if each.kept
    }


def test_days_weeks_and_months(source: Source) -> None:
    made = [aged(source, NOW - age * DAY).name for age in (100, 40, 39, 9, 8, 2, 1, 0)]
    found = kept(keeping(source, daily=2, weekly=3, monthly=3))
    assert {made.index(name): why for name, why in found.items()} == {
        0: ("monthly",),
        2: ("monthly",),
        4: ("weekly",),
        6: ("daily", "weekly"),
        7: ("last", "daily", "weekly", "monthly", "the newest that is whole"),
    }


def test_what_goes_is_gone_and_the_rest_whole(source: Source) -> None:
    made = [aged(source, NOW - age * DAY) for age in (3, 2, 1)]
    judged = retention.judge(keeping(source), {})
    retention.remove(source, judged)
    assert snapshot.listed(source.backups) == made[2:]
    assert [path.name for path in source.backups.iterdir()] == [made[2].name]
    snapshot.verify(made[2])


def test_the_newest_whole_one_is_never_removed(source: Source) -> None:
    """The newest one is damaged: the one before it is the last hope."""
    made = [aged(source, NOW - age * DAY) for age in (3, 2, 1)]
    (made[2] / "config" / "config" / "config.yaml").write_text("damaged")
    found = kept(keeping(source))
    assert found == {made[1].name: ("the newest that is whole",), made[2].name: ("last",)}


def test_what_going_back_needs_is_never_removed(source: Source) -> None:
    made = [aged(source, NOW - age * DAY) for age in (4, 3, 2, 1)]
    (made[0] / "reports").mkdir()
    (made[1] / "reports").mkdir()
    found = kept(keeping(source))
    assert found[made[1].name] == ("going back from the last upgrade",)
    assert set(found) == {made[1].name, made[3].name}
    state_file.write(source.hub, Mark("now", state_file.SWAPPING, made[0].name, {}))
    assert kept(keeping(source))[made[0].name] == ("an unfinished upgrade",)


def test_one_that_cannot_be_read_and_one_of_another_hub_stay(source: Source) -> None:
    made = [aged(source, NOW - age * DAY) for age in (3, 2, 1)]
    (made[0] / manifest.NAME).write_text("{}")
    other = snapshot.read(made[1])
    changed = replace(other.manifest, hub="/opt/other")
    resealed(other, changed, made[1])
    found = kept(keeping(source))
    assert found[made[0].name] == ("cannot be read",)
    assert found[made[1].name] == ("of another hub",)


def test_single_components_do_not_push_out_whole_snapshots(source: Source) -> None:
    whole = aged(source, NOW - 9 * DAY)
    single = [aged(source, NOW - age * DAY, "config").name for age in (3, 2, 1)]
    assert set(kept(keeping(source, last=2))) == {whole.name, *single[1:]}


def test_a_removal_that_was_cut_off_is_ended_by_the_next(source: Source) -> None:
    made = aged(source, NOW)
    left = source.backups / f"{retention.REMOVED}20250101T000000Z"
    (left / "config").mkdir(parents=True)
    assert [path.name for path in snapshot.listed(source.backups)] == [made.name]
    retention.remove(source, retention.judge(source, {}))
    assert not left.exists()


def test_not_while_another_run_works(source: Source) -> None:
    aged(source, NOW)
    with lock.hold(source.hub, "the backup"), pytest.raises(Busy):
        retention.remove(source, retention.judge(source, {}))


@given(
    ages=st.lists(st.integers(0, 4000), min_size=1, max_size=40, unique=True),
    keep=st.tuples(st.integers(1, 5), *[st.integers(0, 8)] * 3),
)
@with_settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_laws(source: Source, ages: list[int], keep: tuple[int, int, int, int]) -> None:
    """The newest stays, never more than the numbers allow; judged again, all that is left stays."""
    last, daily, weekly, monthly = keep
    kinds = sorted(ages, reverse=True)
    for path in snapshot.listed(source.backups):
        for file in sorted(path.rglob("*"), reverse=True):
            file.rmdir() if file.is_dir() else file.unlink()
        path.rmdir()
    for age in kinds:
        write_bare(source, NOW - age * DAY / 4)
    wanted = keeping(source, last=last, daily=daily, weekly=weekly, monthly=monthly)
    judged = retention.judge(wanted, {})
    stay = [each.id for each in judged if each.kept]
    assert judged[-1].kept
    assert len(stay) <= last + daily + weekly + monthly
    assert len(stay) >= min(len(ages), last)
    retention.remove(wanted, judged)
    assert [each.id for each in retention.judge(wanted, {})] == stay
    assert all(each.kept for each in retention.judge(wanted, {}))


def write_bare(source: Source, moment: float) -> None:
    """Write what judging reads of a snapshot: its manifest, whole."""
    name = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(moment))
    found = manifest.Manifest(
        id=name,
        created=time.strftime(manifest.CREATED, time.gmtime(moment)),
        hub=str(source.hub.prefix),
        host="here",
        tool="0",
        versions={},
        labels={},
        components={"config": {}},
        files=(),
        notes_sha256=hashlib.sha256(b"").hexdigest(),
    )
    folder = source.backups / name
    folder.mkdir(parents=True)
    data = found.to_bytes()
    (folder / manifest.NAME).write_bytes(data)
    (folder / manifest.NOTES).write_bytes(b"")
    sums = manifest.sums(manifest.sealed(found, hashlib.sha256(data).hexdigest()))
    (folder / manifest.SUMS).write_bytes(sums)


@pytest.mark.skipif(not shutil.which("restic"), reason="restic is not installed")
def test_user_data_goes_with_the_snapshots_that_name_it(source: Source) -> None:
    """And what is only in the repository, from before the server was new, stays its time."""
    names = ["config", "user-data"]
    made = [capture.create(source, components.chosen(names)).path for _ in range(3)]
    shutil.rmtree(made[1])  # as on a new server, to which not all were fetched
    wanted = keeping(source)
    retention.remove(wanted, retention.judge(wanted, {}))
    opened = repository.opened(source)
    left = {repository.kept_as(each) for each in repository.own(opened)}
    assert left == {made[1].name, made[2].name}
    assert user_files.verify(
        source, snapshot.read(made[2]).manifest.components["user-data"], "100%"
    )


@pytest.mark.skipif(not shutil.which("restic"), reason="restic is not installed")
def test_without_its_user_data_a_snapshot_is_of_another_kind(
    source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A night without the repository must not push out the last night with it."""
    good = aged(source, NOW - 2 * DAY, "config", "user-data")
    monkeypatch.setenv("PATH", "/nowhere")
    poor = aged(source, NOW - DAY, "config", "user-data")
    monkeypatch.undo()
    found = kept(keeping(source))
    assert set(found) == {good.name, poor.name}
    assert found[good.name] == ("last", "the newest that is whole")
