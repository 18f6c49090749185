"""The hub's services: those that answered before an upgrade answer after it."""

from __future__ import annotations

import threading

import hub_folder
import pytest
from hub_fixtures import Live, until

from tljh_runbook.hub.servers import probe
from tljh_runbook.hub.servers.probe import Probe
from tljh_runbook.hub.upgrade import verification
from tljh_runbook.hub.upgrade.guarantees.pages import GUARANTEE

PAGE = "/services/plasma/"


@pytest.fixture
def serving(live: Live) -> Live:
    """A hub with a service, which sends everybody to the login first."""
    hub_folder.write_service(live.hub, "plasma")
    live.answer(PAGE, 302)
    return live


@pytest.mark.parametrize(
    ("status", "there"), [(200, True), (302, True), (403, True), (404, False), (502, False)]
)
def test_a_refusal_is_an_answer_and_the_proxys_word_is_none(
    serving: Live, status: int, there: bool
) -> None:
    serving.answer(PAGE, status)
    assert GUARANTEE.measure(serving.source) == {"plasma": there}


def test_one_that_does_not_answer_any_more_breaks_the_guarantee(serving: Live) -> None:
    before = GUARANTEE.measure(serving.source)
    assert GUARANTEE.judge(before, GUARANTEE.measure(serving.source)) == (True, "1 answer: plasma")
    serving.answer(PAGE, 502)
    after = GUARANTEE.measure(serving.source)
    assert GUARANTEE.judge(before, after) == (False, "no answer any more: plasma")
    assert GUARANTEE.judge(after, after) == (True, "there are none")


def test_one_that_the_new_version_has_not_is_told_and_not_blamed() -> None:
    kept, told = GUARANTEE.judge({"plasma": True, "old": True}, {"plasma": True})
    assert kept
    assert told == "1 answer: plasma; no service any more: old"


def test_a_probe_sees_it_go_and_come_back(serving: Live) -> None:
    with Probe(probe.targets(serving.source)) as seen:
        (found,) = [each for each in seen.outages if each.name == "service plasma"]
        serving.answer(PAGE, 502)
        until(lambda: found.failed)
        serving.answer(PAGE, 200)
        until(lambda: found.gaps)
    assert [each.name for each in seen.outages if each.failed] == ["service plasma"]


def test_the_proof_waits_for_it(serving: Live) -> None:
    before = {each.name: each.measure(serving.source) for each in verification.LAST}
    serving.answer(PAGE, 502)
    waiting = threading.Thread(target=verification.wait, args=(serving.source, before))
    with Probe(probe.targets(serving.source)) as seen:
        (found,) = [each for each in seen.outages if each.name == "service plasma"]
        waiting.start()
        until(lambda: found.failed >= 10)
        assert waiting.is_alive()
        serving.answer(PAGE, 200)
        waiting.join(60)
    assert not waiting.is_alive()
