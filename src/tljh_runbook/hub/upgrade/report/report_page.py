"""The report of an upgrade as a self-contained HTML page."""

from __future__ import annotations

import base64
import hashlib
import time
from collections.abc import Iterable, Mapping, Sequence
from importlib import resources
from typing import Any

from tljh_runbook.hub.servers.probe import SERVER
from tljh_runbook.hub.upgrade.report import timeline
from tljh_runbook.hub.upgrade.report.markup import Html, element, joined

SIGNS = {True: "✓", False: "✗", None: "–"}
KINDS = {True: "kept", False: "broken", None: "unknown"}
GUARANTEES = ("guarantee", "", "measured")
CHANGES = ("", "before", "now")
EDITS = ("file", "what was edited")
HIDDEN = "not shown: the file may hold secrets"


def render(report: Mapping[str, Any], *, hub: str, phases: Sequence[Mapping[str, Any]]) -> str:
    """Return the page of a report (`upgrade.Report.to_json`) on ``hub``.

    ``phases`` come from the journal, each with its ``text`` and its start, ``after``, in seconds
    since the start of the run. ``probe_after`` in the report is the start of the probes, also in
    seconds since the start of the run.
    """
    page = element("html", _head(f"Upgrade of {hub}"), _body(report, hub, phases), lang="en")
    return f"<!DOCTYPE html>\n{page}\n"


def _head(title: str) -> Html:
    style = resources.files(__package__).joinpath("report_page.css").read_text(encoding="utf-8")
    return element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=_policy(style)),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", title),
        element("style", Html(style)),
    )


def _policy(style: str) -> str:
    """Return a policy that allows only this style: no scripts, files or other styles."""
    sha = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return f"default-src 'none'; style-src 'sha256-{sha}'; base-uri 'none'; form-action 'none'"


def _body(report: Mapping[str, Any], hub: str, phases: Sequence[Mapping[str, Any]]) -> Html:
    rows = [[each["guarantee"], _word(each), each["measured"]] for each in report["verdicts"]]
    return element(
        "body",
        element("h1", f"Upgrade of {hub}"),
        element("p", f"It began on {_moment(report['at'])}."),
        _outcome(report),
        _figures(report),
        _section("Guarantees", _table("guarantees", GUARANTEES, rows)),
        _section("What has changed", _table("changes", CHANGES, report["changes"])),
        *_overwritten(report),
        _section("Timeline", timeline.render(report, phases)),
        _notes(report),
    )


def _overwritten(report: Mapping[str, Any]) -> Iterable[Html]:
    """Yield a section with the manual edits that the upgrade has overwritten, if there are any."""
    edits = (report.get("forecast") or {}).get("overwritten") or {}
    if edits:
        rows = [[file, element("pre", text or HIDDEN)] for file, text in edits.items()]
        yield _section("Edits by hand that were overwritten", _table("edits", EDITS, rows))


def _outcome(report: Mapping[str, Any]) -> Html:
    verdicts = report["verdicts"]
    broken = [each["guarantee"] for each in verdicts if each["kept"] is False]
    unknown = [each["guarantee"] for each in verdicts if each["kept"] is None]
    if not report["changed"]:
        return _told("unknown", "Everything was as asked: nothing was changed or restarted.")
    if broken:
        return _told("broken", f"✗ Not every guarantee held. Broken: {', '.join(broken)}.")
    if unknown or not verdicts:
        return _told("unknown", f"No guarantee was seen broken. Not measured: {_list(unknown)}.")
    return _told("kept", "✓ Every guarantee held.")


def _told(kind: str, text: str) -> Html:
    return element("p", text, class_=f"outcome {kind}")


def _list(names: Sequence[str]) -> str:
    return ", ".join(names) or "all of them"


def _figures(report: Mapping[str, Any]) -> Html:
    """Return the key figures: guarantees held, downtimes and total duration."""
    kept = sum(each["kept"] is True for each in report["verdicts"])
    servers = [each["away"] for each in report["outages"] if each["name"].startswith(SERVER)]
    found = [("guarantees held", f"{kept} of {len(report['verdicts'])}")]
    found += [("hub away", _s(each["away"])) for each in report["outages"] if each["name"] == "hub"]
    if servers:
        found.append(("longest that a user server was away", _s(max(servers))))
    found.append(("the whole upgrade", _s(report["seconds"])))
    pairs = (element("div", element("dt", name), element("dd", text)) for name, text in found)
    return element("dl", *pairs)


def _word(verdict: Mapping[str, Any]) -> Html:
    kept = verdict["kept"]
    return element("span", f"{SIGNS[kept]} {verdict['word']}", class_=KINDS[kept])


def _section(title: str, inside: Html) -> Html:
    return element("section", element("h2", title), inside)


def _table(kind: str, columns: Iterable[str], rows: Sequence[Iterable[str]]) -> Html:
    if not rows:
        return element("p", "Nothing.")
    head = element("tr", *(element("th", each, scope="col") for each in columns))
    body = (element("tr", *_cells(*row)) for row in rows)
    return element("table", element("thead", head), element("tbody", *body), class_=kind)


def _cells(name: str, *others: str) -> Iterable[Html]:
    yield element("th", name, scope="row")
    yield from (element("td", each) for each in others)


def _notes(report: Mapping[str, Any]) -> Html:
    """Return a footer that says how to roll back by hand; empty without a snapshot."""
    if not report["snapshot"]:
        return joined()
    kept = element("code", report["snapshot"])
    text = "The upgrade started from the snapshot ", kept, ". To go back by hand, follow the file "
    return element("footer", element("p", *text, element("code", "RESTORE.md"), " in its folder."))


def _moment(at: str) -> str:
    """Return a time in a readable format; unchanged if it cannot be parsed."""
    try:
        return time.strftime("%Y-%m-%d at %H:%M:%S UTC", time.strptime(at, "%Y%m%dT%H%M%SZ"))
    except ValueError:
        return at


def _s(seconds: float) -> str:
    return f"{seconds:.1f} s"
