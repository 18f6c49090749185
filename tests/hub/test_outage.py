"""How long an upgrade is expected to take the hub away: as long as the last one like it."""

from __future__ import annotations

import json
import re
from typing import Any

import hub_folder

from tljh_runbook import show
from tljh_runbook.hub.context import Source
from tljh_runbook.hub.upgrade.report import outage, report
from tljh_runbook.hub.upgrade.report.outage import Outage

STAGED, RESTARTED = {"proxy_restarts": False}, {"proxy_restarts": True}


def keep(source: Source, at: str, forecast: dict[str, Any] | None, **away: float) -> None:
    """Keep what an upgrade has measured, as far as it is looked at."""
    away = {"hub": away.pop("hub")} | {f"server of {name}": each for name, each in away.items()}
    away["service plasma"] = 99.0  # which nobody is cut off by
    outages = [{"name": name, "away": seconds} for name, seconds in away.items()]
    values = {"at": at, "forecast": forecast, "outages": outages}
    hub_folder.keep(report.file(source, f"snapshot-{at}", at), json.dumps(values), 0o600)


def test_without_a_measured_upgrade_nobody_knows(source: Source) -> None:
    assert outage.expected(source, proxy=True) == Outage()
    # Where the proxy runs on, so do the routes to the users' servers.
    assert outage.expected(source, proxy=False) == Outage(servers=0.0)


def test_the_newest_upgrade_that_is_like_it_counts(source: Source) -> None:
    keep(source, "20260101T000000Z", RESTARTED, hub=9.0, alice=1.5, bob=2.5)
    keep(source, "20260102T000000Z", STAGED, hub=7.0, alice=0.0)
    keep(source, "20260103T000000Z", None, hub=43.0, alice=36.0)  # in place
    hub_folder.keep(report.file(source, "broken", "20260104T000000Z"), "{", 0o600)
    seen = "20260102T000000Z"
    assert outage.expected(source, proxy=False) == Outage(7.0, 0.0, seen)
    assert outage.expected(source, proxy=True) == Outage(7.0, 2.5, seen)


def test_an_upgrade_with_nobody_at_work_says_nothing_of_their_servers(source: Source) -> None:
    keep(source, "20260101T000000Z", RESTARTED, hub=9.0)
    assert outage.expected(source, proxy=True) == Outage(9.0, None, "20260101T000000Z")


def test_what_is_not_known_is_told_as_that(capsys: Any) -> None:
    found = {
        "would_change": True,
        "packages": [],
        "settings": [],
        "files": {},
        "databases": [],
        "tokens_revoked": 0,
        "proxy_restarts": True,
        "proxy_versions": ["2.10.1", "3.1.4"],
        "away": {"hub": 7.04, "servers": None, "seen": "20260101T000000Z"},
        "size": 0,
        "apt": [],
        "not_done": [],
        "overwritten": {},
        "left": [],
        "logins": {"allowed": 2, "warnings": []},
        "complaints": [],
    }
    show.forecast(found)
    shown = capsys.readouterr().out
    assert re.search(r"^proxy +2\.10\.1 +restarts as 3\.1\.4$", shown, re.MULTILINE)
    assert "7.0 s, as last time" in shown
    assert "not known: no upgrade like it was measured here" in shown
