"""Verify the guarantees after an upgrade: once the hub is healthy, and at any later time."""

from __future__ import annotations

import time

from tljh_runbook.errors import GuaranteeBroken, RunCutOff
from tljh_runbook.hub.context import Source
from tljh_runbook.hub.health import health
from tljh_runbook.hub.runs import journal
from tljh_runbook.hub.servers.watch import Watch
from tljh_runbook.hub.upgrade import confirmation, guarantees
from tljh_runbook.hub.upgrade.guarantees import Measures, Verdict, servers
from tljh_runbook.hub.upgrade.guarantees.pages import GUARANTEE as PAGES
from tljh_runbook.hub.upgrade.guarantees.servers import GUARANTEE as SERVERS
from tljh_runbook.hub.upgrade.report import report
from tljh_runbook.hub.upgrade.report.report import Report

# Seconds in which a healthy hub adds the proxy's routes to user servers and starts its services,
# one after the other. JupyterHub 5 exits, and is restarted, if one takes longer than 10.
ROUTES = 120
FORGOTTEN = 10  # seconds after which the hub will not rediscover a server
UNSTEADY = "unsteady"  # key, among the measures, of the services that were unstable before
LAST = (SERVERS, PAGES)  # guarantees that hold only some time after the hub is up


def wait(source: Source, before: Measures, watch: Watch | None = None) -> Measures:
    """Wait until the hub is healthy, routes to user servers and services again, and stays up.

    Returns ``before`` with the first measurements added, and with the reason why servers have
    ended. Raises `HubUnhealthy`.
    """
    wanted, first, start = source.settings.upgrade, Measures(), time.monotonic()
    seconds = wanted.healthy_within
    health.wait(
        source.hub,
        source.services,
        seconds,
        first=lambda: first.update(guarantees.look(source, guarantees.HUB)),
    )
    before = _wait_for_routes(source, before, watch, time.monotonic() + min(seconds, ROUTES))
    first |= guarantees.look(source, guarantees.SERVICES)
    health.stay(source.hub, source.services, wanted, before.get(UNSTEADY, ()), start)
    return before | {guarantees.FIRST: first}


def _wait_for_routes(
    source: Source, before: Measures, watch: Watch | None, deadline: float
) -> Measures:
    """Wait until everything is reachable, a server is lost for good, or the deadline has passed."""
    known = [each for each in LAST if each.name in before]
    forgotten_since = time.monotonic()
    while True:
        after = {each.name: each.measure(source) for each in known}
        before = guarantees.investigate(before, source, watch.seen() if watch else None)
        wrong = [each for each in known if not each.judge(before[each.name], after[each.name])[0]]
        if wrong != [SERVERS] or not servers.forgotten(before[SERVERS.name], after[SERVERS.name]):
            forgotten_since = time.monotonic()
        lost = SERVERS in wrong and servers.lost(before[SERVERS.name])
        forgotten = time.monotonic() - forgotten_since > FORGOTTEN
        if not wrong or lost or forgotten or time.monotonic() > deadline:
            return before
        time.sleep(health.PAUSE)


def prove(source: Source) -> Report | None:
    """Measure the guarantees now and compare them with those before the last upgrade.

    Returns None if there is nothing to verify: there was no upgrade, it changed nothing, or it was
    rolled back. Raises `RunCutOff` after one that did not finish, which has left no measures to
    compare with.
    """
    state = journal.state(source.hub, "upgrade")
    end = state["end"] or {}
    last = end.get("report") or {}
    if not last and state["events"]:
        raise RunCutOff(
            "The last upgrade did not come to its end, so there is nothing to prove: "
            f"{end['error']['message'] if end else 'it runs, or was cut off.'}",
            hint="Run the upgrade again: tljh-runbook upgrade",
        )
    if not last.get("changed") or not last.get("snapshot") or journal.rolled_back(source.hub):
        return None
    values = report.read(report.file(source, last["snapshot"], last["at"]))
    after = guarantees.measure(source)
    before = guarantees.investigate(values["before"], source, None)
    now = {
        "verdicts": guarantees.judge(before, after),
        "confirm_until": confirmation.until(source.hub),
    }
    return Report(**{**values, **now})


def require_kept(verdicts: list[Verdict], *, back_to: str = "") -> None:
    """Raise `GuaranteeBroken` if a guarantee was broken by an upgrade or a rollback.

    ``back_to`` is the snapshot that the rolled-back upgrade started from.
    """
    broken = [f"{each.guarantee} ({each.measured})" for each in verdicts if each.kept is False]
    if broken and back_to:
        raise GuaranteeBroken(
            f"The previous version runs again, but a guarantee was broken: {'; '.join(broken)}.",
            hint="See what the snapshot has that the upgrade started from: "
            f"tljh-runbook restore --dry-run --snapshot {back_to}",
        )
    if broken:
        raise GuaranteeBroken(
            f"The hub was upgraded and runs, but a guarantee was broken: {'; '.join(broken)}.",
            hint="Follow RESTORE.md in the snapshot that the upgrade started from, or roll back: "
            "tljh-runbook rollback",
        )
