"""The newest snapshot is the one taken last, whatever the server's clock said."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest

from tljh_runbook.hub.backup import capture, components, retention
from tljh_runbook.hub.context import Source
from tljh_runbook.hub.core.settings import KeepSettings
from tljh_runbook.hub.snapshots import difference, manifest, sequence, snapshot
from tljh_runbook.hub.upgrade.check import checks
from tljh_runbook.hub.user_data import fetch

DAY = 86400


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds by which the clock that names snapshots is wrong."""
    wrong, right = [0.0], time.gmtime
    monkeypatch.setattr(
        time, "gmtime", lambda *given: right(*given) if given else right(time.time() + wrong[0])
    )
    return wrong


def backup(source: Source, *names: str) -> Path:
    return capture.create(source, components.chosen(names or ["config"])).path


def test_a_clock_that_was_ahead_does_not_make_an_old_one_the_newest(
    source: Source, clock: list[float]
) -> None:
    clock[0] = DAY
    old = backup(source)
    clock[0] = 0
    new = backup(source)
    assert new.name < old.name
    assert snapshot.find(source.backups, None) == new
    assert snapshot.listed(source.backups) == [old, new]


def test_a_clock_that_was_behind_does_not_remove_what_was_just_made(
    source: Source, clock: list[float]
) -> None:
    backup(source)
    clock[0] = -400 * DAY
    new = backup(source)
    keep = KeepSettings(last=1, daily=0, weekly=0, monthly=0)
    wanted = replace(source, settings=replace(source.settings, keep=keep))
    kept = {each.id: each.reasons for each in retention.judge(wanted, {}) if each.kept}
    assert kept == {new.name: ("last", "the newest that is whole")}


def test_an_upgrade_starts_from_the_last_one_after_the_clock_was_corrected(
    source: Source, clock: list[float]
) -> None:
    clock[0] = DAY
    backup(source, *(each.name for each in components.every()))
    clock[0] = 0
    new = backup(source, *(each.name for each in components.every()))
    assert checks.fresh_snapshot(source).path == new


def test_a_loss_is_compared_with_the_last_one(source: Source, clock: list[float]) -> None:
    clock[0] = DAY
    backup(source, "database")
    clock[0] = 0
    (source.hub.state / "tljh_plasma.sqlite").unlink()
    made = capture.create(source, components.chosen(["database"]))
    assert "the database plasma is gone" in " ".join(made.notes)


def test_those_without_a_sequence_are_older_and_a_damaged_one_stays_in_its_place(
    source: Source, clock: list[float]
) -> None:
    made = []
    for days in (9, 3, 1, 2):  # a server whose clock was far ahead when its tool was older
        clock[0] = days * DAY
        made.append(backup(source))
    for path in made[:2]:
        old = replace(snapshot.read(path).manifest, format=1)
        (path / manifest.NAME).write_bytes(old.to_bytes())
    (made[3] / manifest.NAME).write_bytes(b"{")
    assert snapshot.listed(source.backups) == [made[1], made[0], made[2], made[3]]


def test_a_number_is_never_given_twice(source: Source) -> None:
    first = snapshot.read(backup(source)).manifest
    backup(source).rename(source.hub.root / "removed-by-hand")
    third = snapshot.read(backup(source)).manifest
    assert (first.sequence, third.sequence) == (1, 3)
    (source.hub.work / sequence.RECORD).write_text("damaged")
    assert snapshot.read(backup(source)).manifest.sequence == 4


def test_two_that_were_taken_do_not_differ_by_their_number(source: Source) -> None:
    older, newer = (snapshot.read(backup(source)).manifest for _ in range(2))
    assert difference.between(older, newer) == []


def test_a_new_server_goes_on_from_what_the_repository_holds(
    source: Source, clock: list[float]
) -> None:
    clock[0] = DAY
    backup(source, "config", "user-data")
    backup(source, "config", "user-data")
    for path in (source.hub.work, source.backups):  # the server is lost, its repository is not
        path.rename(path.with_name("lost"))
    clock[0] = 0
    new = backup(source, "config", "user-data")
    assert snapshot.read(new).manifest.sequence == 3
    assert [each.name for each in fetch.available(source)][-1] == new.name
