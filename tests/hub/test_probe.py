"""How long something was away is counted from the last answer to the next."""

from __future__ import annotations

import time

import pytest
from hub_fixtures import Live, until
from hypothesis import given
from hypothesis import strategies as st

from tljh_runbook.hub.servers import probe
from tljh_runbook.hub.servers.probe import Outage, Probe
from tljh_runbook.hub.snapshots import manifest


def outage(*answers: bool, end: float) -> Outage:
    """Ask once a second, from an answer at 0 on, and end at ``end``."""
    found = Outage("hub")
    found.note(0.0, True)
    for second, ok in enumerate(answers, start=1):
        found.note(float(second), ok)
    found.close(end)
    return found


@pytest.mark.parametrize(
    ("answers", "away", "failed"),
    [
        ([], 0.0, 0),
        ([True, True, True], 0.0, 0),
        ([True, False, True], 2.0, 1),
        ([False, False, True], 3.0, 2),
        ([True, False, False], 3.0, 2),  # not back at the end, which is at 4
        ([False, True, False, True], 4.0, 2),
        ([False, False, False], 4.0, 3),
    ],
)
def test_away_is_from_the_last_answer_before_to_the_first_after(
    answers: list[bool], away: float, failed: int
) -> None:
    found = outage(*answers, end=4.0)
    assert (found.away, found.failed, found.asked) == (away, failed, len(answers) + 1)


STEPS = st.lists(st.tuples(st.floats(0.001, 60), st.booleans()), max_size=40)


@given(start=st.floats(0, 1e6), steps=STEPS, rest=st.floats(0, 60))
def test_away_is_never_longer_than_all_the_time(
    start: float, steps: list[tuple[float, bool]], rest: float
) -> None:
    found, now, silent = Outage("hub"), start, 0.0
    found.note(now, True)
    for pause, ok in steps:
        now += pause
        silent += 0 if ok else pause
        found.note(now, ok)
    found.close(now + rest)
    assert 0 <= found.away <= now + rest - start + 1e-6
    assert found.failed == sum(not ok for _, ok in steps)
    assert (found.away == 0) == (found.failed == 0)
    # It is an upper bound: no second of silence is missing from it.
    assert found.away >= silent - 1e-3


@given(start=st.floats(0, 1e6), steps=STEPS, rest=st.floats(0, 60))
def test_every_moment_without_an_answer_lies_in_a_gap_and_no_answer_within_one(
    start: float, steps: list[tuple[float, bool]], rest: float
) -> None:
    found, now, answered = Outage("hub"), start, [start]
    silent: list[float] = []
    found.note(now, True)
    for pause, ok in steps:
        now += pause
        (answered if ok else silent).append(now)
        found.note(now, ok)
    found.close(now + rest)
    assert found.away == sum(end - begin for begin, end in found.gaps)
    assert found.gaps == sorted(found.gaps)
    ends = [each for gap in found.gaps for each in gap]
    assert ends == sorted(ends)  # none begins before another has ended
    assert {begin for begin, _ in found.gaps} <= {*answered}
    assert {end for _, end in found.gaps} <= {*answered, now + rest}
    for moment in silent:
        assert any(begin <= moment <= end for begin, end in found.gaps)
    for moment in answered:
        assert not any(begin < moment < end for begin, end in found.gaps)


@given(steps=STEPS)
def test_the_gaps_in_the_report_add_up_to_what_it_says(steps: list[tuple[float, bool]]) -> None:
    found, now = Outage("hub"), 0.0
    for pause, ok in steps:
        now += pause
        found.note(now, ok)
    found.close(now)
    said = found.to_json()
    assert len(said["gaps"]) == len(found.gaps)
    assert said["away"] == round(sum(end - begin for begin, end in said["gaps"]), 2)
    assert said["away"] == pytest.approx(found.away, abs=0.01 * (len(found.gaps) + 1))


def test_closing_twice_counts_once() -> None:
    found = outage(True, False, end=4.0)
    found.close(4.0)
    assert found.away == 3.0


def test_a_hub_that_answers_is_never_away(live: Live) -> None:
    with Probe(probe.targets(live.source)) as seen:
        until(lambda: all(each.asked >= 3 for each in seen.outages))
    assert {each.name: each.failed for each in seen.outages} == {
        "hub": 0,
        "proxy": 0,
        "server of alice": 0,
    }
    assert [each.to_json()["away"] for each in seen.outages] == [0, 0, 0]


def test_what_goes_away_is_seen_and_what_stays_is_not(live: Live) -> None:
    with Probe(probe.targets(live.source)) as seen:
        hub, proxy, server = seen.outages
        live.answer("/hub/health", 503)
        until(lambda: hub.failed >= 3)
        live.answer("/hub/health", 200)
        until(lambda: hub.asked > hub.failed and hub.away > 0)
    assert hub.away >= 0.2
    assert (server.failed, server.away) == (0, 0)
    assert proxy.failed == 0  # it has answered, if only that the hub is away
    assert set(hub.to_json()) == {"name", "asked", "failed", "away", "gaps", "left"}
    assert 0 <= hub.gaps[0][0] < hub.gaps[-1][1] <= seen.seconds
    assert time.strptime(seen.began, manifest.CREATED)


def test_what_is_away_from_the_first_question_on_is_away_from_the_beginning(live: Live) -> None:
    live.answer("/hub/health", 503)
    with Probe(probe.targets(live.source)) as seen:
        until(lambda: seen.outages[0].failed >= 2)
        live.answer("/hub/health", 200)
        until(lambda: seen.outages[0].gaps)
    assert seen.outages[0].gaps[0][0] == 0
    assert [each.name for each in seen.outages if each.gaps] == ["hub"]
