"""The page of a report holds what the report says, and nothing that could lead away from it."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tljh_runbook.hub.servers.probe import Outage
from tljh_runbook.hub.upgrade.guarantees import Verdict
from tljh_runbook.hub.upgrade.report import markup, report_page, timeline
from tljh_runbook.hub.upgrade.report.report import Report
from tljh_runbook.hub.upgrade.report.timeline import Axis

HOSTILE = "<script>alert('x')</script>\"&lt;</title></style>"
PHASES = [
    {"text": "Compare what is installed with what is asked", "after": 0.0},
    {"text": "Install", "after": 2.5},
    {"text": "Wait for a healthy hub", "after": 93.1},
]


class Page(HTMLParser):
    """What a browser sees: elements with their attributes, and the text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.inside: list[str] = []
        self.feed(page)
        self.close()
        assert self.inside == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in markup.VOID:
            self.inside.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.inside.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.inside[-1:] != ["style"]:
            self.texts.append(data)

    @property
    def text(self) -> str:
        return "".join(self.texts)

    def named(self, name: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.elements if tag == name]

    def bars(self, kind: str, *, axis: float = 126.4) -> list[tuple[float, float]]:
        """Return where the bars of a kind begin, and how long they are, in seconds."""
        found = [each for each in self.named("rect") if each["class"] == kind]
        return [(_share(each["x"]) * axis, _share(each["width"]) * axis) for each in found]


def _share(text: str | None) -> float:
    assert text
    assert text[-1] == "%"
    return float(text[:-1]) / 100


def near(*bars: tuple[float, float]) -> Any:
    return [pytest.approx(each, abs=0.002) for each in bars]


def outage(name: str, *gaps: tuple[float, float], asked: int = 900, failed: int = 0) -> Any:
    found = Outage(name, asked, failed or len(gaps), list(gaps))
    return found.to_json()


def report(**changed: Any) -> dict[str, Any]:
    """Return a report as an upgrade makes it, that broke a guarantee."""
    values: dict[str, Any] = {
        "changed": True,
        "at": "20260115T220000Z",
        "snapshot": "20260115T215500Z",
        "seconds": 126.4,
        "changes": [["TLJH", "1.0.0", "2.0.0"], ["limits.cpu", "unset", "2"]],
        "verdicts": [
            Verdict("user servers", True, "2 of 2 run on"),
            Verdict("user data", False, "missing: lesson.ipynb"),
        ],
        "outages": [
            outage("hub", (60.1, 67.13), failed=71),
            outage("server of alice"),
            outage("server of bob", (10.0, 10.25), (80.02, 80.14)),
        ],
    }
    return Report(**(values | changed)).to_json() | {"probe_after": 20.0, "probe_seconds": 100.0}


def page(said: dict[str, Any], *, hub: str = "/opt/tljh on here", phases: Any = PHASES) -> Page:
    return Page(report_page.render(said, hub=hub, phases=phases))


def test_what_the_report_says_is_on_the_page() -> None:
    text = page(report()).text
    for said in (
        "Upgrade of /opt/tljh on here",
        "2026-01-15 at 22:00:00 UTC",
        "user servers✓ kept2 of 2 run on",
        "user data✗ BROKENmissing: lesson.ipynb",
        "Broken: user data.",
        "TLJH1.0.02.0.0",
        "limits.cpuunset2",
        "guarantees held1 of 2",
        "hub away7.0 s",
        "longest that a user server was away0.4 s",
        "the whole upgrade126.4 s",
        "the snapshot 20260115T215500Z",
        "829 of 900 questions answered",
    ):
        assert said in text


def test_edits_by_hand_that_were_overwritten_are_shown() -> None:
    unit, secret = "/etc/systemd/system/traefik.service", "/opt/tljh/state/traefik.toml"
    edits = {unit: "+Environment=LEGO_PROXY=<a>", secret: ""}
    seen = page(report(forecast={"overwritten": edits}))
    assert "Edits by hand that were overwritten" in seen.text
    assert f"{unit}+Environment=LEGO_PROXY=<a>" in seen.text
    assert f"{secret}not shown: the file may hold secrets" in seen.text
    assert "by hand that" not in page(report()).text
    assert "by hand that" not in page(report(forecast={"overwritten": {}})).text


def test_each_phase_is_drawn_from_its_beginning_to_the_next() -> None:
    seen = page(report())
    assert seen.bars("phase") == near((0, 2.5), (2.5, 90.6), (93.1, 33.3))
    for text, seconds in zip(("Compare", "Install", "Wait for"), (2.5, 90.6, 33.3), strict=True):
        assert text in seen.text
        assert f"{seconds} s" in seen.text


def test_each_gap_stands_there_with_its_seconds_on_the_axis_of_the_phases() -> None:
    seen = page(report())
    for told in (
        "away 7.03 s, from 80.10 s to 87.13 s",
        "away 0.25 s, from 30.00 s to 30.25 s",
        "away 0.12 s, from 100.02 s to 100.14 s",
        "away 0.37 s",
        "never away",
    ):
        assert told in seen.text
    assert seen.bars("away") == near((80.1, 7.03), (30, 0.25), (100.02, 0.12))
    assert seen.bars("answered") == near((20, 100), (20, 100), (20, 100))


def test_what_was_never_asked_is_not_shown_as_there() -> None:
    seen = page(report(outages=[outage("hub", asked=0)]))
    assert seen.bars("answered") == []
    assert "not asked" in seen.text


@pytest.mark.parametrize(
    ("verdicts", "changed", "told"),
    [
        ([("user data", True)], True, "✓ Every guarantee held."),
        ([("user data", False), ("images", False)], True, "Broken: user data, images."),
        ([("user data", True), ("images", None)], True, "Not measured: images."),
        ([("user data", False), ("images", None)], True, "Broken: user data."),
        ([], True, "Not measured: all of them."),
        ([], False, "nothing was changed or restarted"),
    ],
)
def test_the_outcome_is_told_in_one_sentence(
    verdicts: list[tuple[str, Any]], changed: bool, told: str
) -> None:
    judged = [Verdict(name, kept, "measured") for name, kept in verdicts]
    assert told in page(report(verdicts=judged, changed=changed)).text


def test_what_was_not_measured_does_not_count_as_kept() -> None:
    unknown: Any = None
    judged = [Verdict("user data", True, "none"), Verdict("images", unknown, "no engine")]
    seen = page(report(verdicts=judged))
    assert "guarantees held1 of 2" in seen.text
    assert "images– not measuredno engine" in seen.text


def test_a_report_of_nothing_is_a_page_too() -> None:
    seen = page(Report(changed=False, at="now").to_json(), phases=[])
    assert "It began on now." in seen.text
    assert "snapshot" not in seen.text


def test_the_page_needs_nothing_else_and_can_run_nothing() -> None:
    text = report_page.render(report(), hub="here", phases=PHASES)
    assert not re.search(r"\bsrc=|href|https?:|@import|url\(|<script|<link|\bon\w+=|style=", text)
    seen = Page(text)
    assert {"lang": "en"} in seen.named("html")
    metas = seen.named("meta")
    assert {"charset": "utf-8"} in metas
    assert [each for each in metas if each.get("name") == "viewport"]
    [policy] = [
        str(each["content"])
        for each in metas
        if each.get("http-equiv") == "Content-Security-Policy"
    ]
    style = text.split("<style>")[1].split("</style>")[0]
    sha = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert policy.split("; ")[:2] == ["default-src 'none'", f"style-src 'sha256-{sha}'"]


def everywhere(name: str) -> Page:
    """Return the page of a report in which ``name`` stands wherever a user may have put it."""
    return page(
        report(
            at=name,
            snapshot=name,
            changes=[[name, name, name]],
            verdicts=[Verdict(name, False, name), Verdict(name, True, name)],
            outages=[outage(name, (1, 2)), outage(f"server of {name}")],
        ),
        hub=name,
        phases=[{"text": name, "after": 0.0}],
    )


def test_a_hostile_name_is_a_name() -> None:
    seen, plain = everywhere(HOSTILE), everywhere("alice")
    assert [name for name, _ in seen.elements] == [name for name, _ in plain.elements]
    assert seen.text == plain.text.replace("alice", HOSTILE)


@given(name=st.text(st.characters(), min_size=1, max_size=40))
def test_whatever_a_name_is_it_neither_adds_markup_nor_hides(name: str) -> None:
    seen, plain = everywhere(name), everywhere("alice")
    assert [name for name, _ in seen.elements] == [name for name, _ in plain.elements]
    visible = "".join(each if each.isprintable() else ascii(each)[1:-1] for each in name)
    assert seen.text.count(visible) >= plain.text.count("alice")
    assert seen.text.replace("\n", "").isprintable()
    seen.text.encode()  # a file's name need not be UTF-8, the page is


@given(seconds=st.floats(0, 1e6))
def test_an_axis_has_few_ticks_however_long_it_is(seconds: float) -> None:
    ticks = Axis(max(seconds, 1.0)).ticks()
    assert 1 <= len(ticks) <= max(timeline.TICKS + 1, seconds / timeline.STEPS[-1] + 1)
    assert ticks[-1] <= max(seconds, 1.0)


GAPS = st.lists(st.tuples(st.floats(0, 500), st.floats(0, 60)), max_size=5)


@given(gaps=GAPS, seconds=st.floats(0, 300), after=st.floats(0, 100))
def test_nothing_is_drawn_beyond_the_axis(
    gaps: list[tuple[float, float]], seconds: float, after: float
) -> None:
    said = report(outages=[outage("hub", *((at, at + length) for at, length in gaps))])
    seen = page(said | {"seconds": seconds, "probe_after": after})
    for kind in ("phase", "answered", "away"):
        assert all(x + width <= 1.0001 for x, width in seen.bars(kind, axis=1))
