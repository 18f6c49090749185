"""The timeline of an upgrade: its phases on a time axis, and below them the downtime of each probe.

It is drawn as SVG, with lengths in percent of the page width. All words and numbers are also next
to it as text, so that no information is conveyed by colour alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from tljh_runbook.hub.upgrade.report.markup import Html, element, joined

STEPS = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400, 43200, 86400)
TICKS = 6  # as many as fit on a phone
HEIGHTS = {"phase": ("25%", "50%"), "answered": ("38%", "24%"), "away": ("0%", "100%")}
LEGEND = (
    "A thin bar: it answered. A high bar: it was away, from the last answer before to the first "
    "one after. Seconds count from the beginning of the upgrade."
)


@dataclass(frozen=True)
class Span:
    """A time span, in seconds since the start of the run."""

    begin: float
    end: float

    @property
    def seconds(self) -> float:
        return self.end - self.begin


@dataclass(frozen=True)
class Axis:
    """The time axis of the whole run, scaled to the page width."""

    seconds: float

    def at(self, moment: float) -> str:
        """Return the position of a time, or the length of a duration, in percent."""
        return f"{100 * moment / self.seconds:.3f}%"

    def bar(self, kind: str, span: Span, told: str) -> Html:
        """Draw a time span."""
        (y, height), x, width = HEIGHTS[kind], self.at(span.begin), self.at(span.seconds)
        place = {"x": x, "y": y, "width": width, "height": height}
        return element("rect", element("title", told), class_=kind, **place)

    def strip(self, *bars: Html) -> Html:
        """Draw a row of bars on top of the tick lines."""
        lines = (element("line", x1=x, x2=x, y1="0", y2="100%") for x in map(self.at, self.ticks()))
        return element("svg", *lines, *bars, class_="strip", aria_hidden="true")

    def scale(self) -> Html:
        """Draw the tick labels."""
        ticks = self.ticks()
        labels = ((_label(each, ticks.step), self.at(each)) for each in ticks)
        texts = (element("text", label, x=x, y="1em") for label, x in labels)
        return _row("", element("svg", *texts, class_="scale", aria_hidden="true"), "")

    def ticks(self) -> range:
        """Return the times of the ticks."""
        enough = (each for each in STEPS if self.seconds / each <= TICKS)
        return range(0, int(self.seconds) + 1, next(enough, STEPS[-1]))


def render(report: Mapping[str, Any], phases: Sequence[Mapping[str, Any]]) -> Html:
    """Draw the phases of an upgrade and the results of its probes."""
    begin, outages = float(report.get("probe_after", 0)), report["outages"]
    axis = Axis(_end(report, begin, phases))
    asked = Span(begin, begin + report.get("probe_seconds", axis.seconds - begin))
    starts = [float(each["after"]) for each in phases]
    spans = (Span(*each) for each in pairwise([*starts, axis.seconds]))
    rows = (_phase(axis, each["text"], span) for each, span in zip(phases, spans, strict=True))
    return joined(
        element("div", *rows, axis.scale()),
        element("h3", "Who could be reached"),
        element("p", LEGEND, class_="note"),
        element("div", *(_probe(axis, each, asked) for each in outages), axis.scale()),
    )


def _end(report: Mapping[str, Any], begin: float, phases: Sequence[Mapping[str, Any]]) -> float:
    """Return the last recorded time; at least 1, so that the axis has a length."""
    gaps = [begin + end for each in report["outages"] for _, end in each["gaps"]]
    starts = [each["after"] for each in phases]
    return float(max(1, report["seconds"], begin + report.get("probe_seconds", 0), *gaps, *starts))


def _phase(axis: Axis, text: str, span: Span) -> Html:
    told = f"{text}: {span.begin:.1f} s to {span.end:.1f} s"
    return _row(text, axis.strip(axis.bar("phase", span, told)), f"{span.seconds:.1f} s")


def _probe(axis: Axis, outage: Mapping[str, Any], asked: Span) -> Html:
    away = [Span(asked.begin + begin, asked.begin + end) for begin, end in outage["gaps"]]
    answered = [axis.bar("answered", asked, "answered")] if outage["asked"] else []
    bars = [axis.bar("away", each, _told(each)) for each in away]
    total = element("b", f"away {outage['away']:.2f} s") if away else Html("never away")
    detail = element("p", _counted(outage), *(f"; {_told(each)}" for each in away), class_="note")
    return _row(outage["name"], axis.strip(*answered, *bars), total, detail)


def _told(away: Span) -> str:
    return f"away {away.seconds:.2f} s, from {away.begin:.2f} s to {away.end:.2f} s"


def _counted(outage: Mapping[str, Any]) -> str:
    if not outage["asked"]:
        return "not asked"
    return f"{outage['asked'] - outage['failed']} of {outage['asked']} questions answered"


def _row(name: str, strip: Html, seconds: str, *more: Html) -> Html:
    named = element("span", name, class_="name")
    told = element("span", seconds, class_="time")
    return element("div", named, strip, told, *more, class_="row")


def _label(moment: int, step: int) -> str:
    """Return a short label for a time."""
    return f"{moment} s" if step < 60 else f"{moment // 60} min"
