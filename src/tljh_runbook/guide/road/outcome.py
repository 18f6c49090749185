"""The outcome of a successful run, as lines of text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

NOTHING = "everything is as asked; nothing was restarted"
Report = Mapping[str, Any]


def told(task: str, event: Mapping[str, Any]) -> list[str]:
    """Return the lines for an event; empty unless it is the successful end of a run."""
    if event["kind"] != "end" or event["code"]:
        return []
    report = event["report"]
    if task == "rehearse":
        return [*_rehearsed(report)]
    if task == "rollback":
        return [*_went_back(report)]
    if task == "restore":
        return [*_restored(report)]
    if path := report.get("path"):
        return [f"sealed and read back: {path}"]
    return [] if report.get("changed") else [NOTHING]


def _rehearsed(report: Report) -> Iterator[str]:
    """Yield what an upgrade would change."""
    if not report.get("would_change"):
        yield "everything is as asked; an upgrade would change nothing"
        return
    for environment, name, before, after in report["packages"]:
        yield f"{name} in {environment}: {before}, then {after}"
    for name, before, after in report["settings"]:
        yield f"setting {name}: {before}, then {after}"
    yield from (f"changes: {name}" for name in report["files"])
    for each in report["databases"]:
        before, after = each["revisions"]
        yield f"database {each['name']}: {'migrates' if before != after else 'stays as it is'}"
    yield f"tokens revoked: {report['tokens_revoked']}"
    for line in report["complaints"]:
        yield f"pip finds wrong: {line}"
    now, then = report.get("proxy_versions", ["", ""])
    changes = f", {now} → {then}" if now != then else ""
    proxy = (
        "restarts, and users are cut off for a moment"
        if report["proxy_restarts"]
        else "keeps running"
    )
    yield f"the proxy {proxy}{changes}"
    seconds = (report.get("away") or {}).get("hub")
    yield f"the hub away: {'not known' if seconds is None else f'about {seconds:.1f} s'}"
    yield "nothing was changed: this was a rehearsal"


def _restored(report: Report) -> Iterator[str]:
    """Yield what was restored, and the state of the hub and its users' servers."""
    if not report.get("changed"):
        yield NOTHING
        return
    for change in report.get("changes", []):
        yield f"{change['what']}: {change['before']}, then {change['after']}"
    if report.get("restarted"):
        yield "the hub is healthy"
    for name, runs in report.get("servers", {}).items():
        yield f"the server of {name} {'keeps running' if runs else 'is not known any more'}"
    yield from (f"what was replaced is in {folder}" for folder in report.get("replaced", []))


def _went_back(report: Report) -> Iterator[str]:
    """Yield the versions that run again, the results of the guarantees, and the downtimes."""
    for name, before, after in report["changes"]:
        yield f"{name}: {before}, now {after} again"
    for each in report.get("verdicts", []):
        yield f"{each['guarantee']}: {each['word']}, {each['measured']}"
    for each in report["outages"]:
        yield f"{each['name']} away: {each['away']:.1f} s"
