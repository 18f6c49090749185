"""The upgrade, in place: measure, install, restart, wait for a healthy hub, measure again."""

from __future__ import annotations

import json
import socket
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tljh_runbook.errors import InstallerFailed, PromiseBroken, RunCutOff, SnapshotMissing
from tljh_runbook.hub import (
    changes,
    checks,
    config,
    files,
    health,
    installer,
    journal,
    manifest,
    promises,
    report_page,
    services,
    unfinished,
    versions,
)
from tljh_runbook.hub.journal import Journal
from tljh_runbook.hub.layout import Hub
from tljh_runbook.hub.probe import Probe, targets
from tljh_runbook.hub.promises import Measures, Verdict
from tljh_runbook.hub.promises.servers import PROMISE as SERVERS
from tljh_runbook.hub.source import Source
from tljh_runbook.hub.unfinished import Unfinished

ROUTES = 60  # seconds in which a healthy hub gives the proxy its routes to user servers


@dataclass(frozen=True)
class Report:
    """What an upgrade did. Times are in seconds, ``at`` is UTC."""

    changed: bool
    at: str
    snapshot: str | None = None
    page: str | None = None
    seconds: float = 0.0
    changes: list[list[str]] = field(default_factory=list)
    verdicts: list[Verdict] = field(default_factory=list)
    outages: list[dict[str, Any]] = field(default_factory=list)
    before: Measures = field(default_factory=dict, repr=False)

    def to_json(self) -> dict[str, Any]:
        """Return the report as data, without the measures it was judged from."""
        values = {name: value for name, value in asdict(self).items() if name != "before"}
        return values | {"verdicts": [each.to_json() for each in self.verdicts]}


def work(source: Source, log: Journal) -> None:
    """Upgrade the hub as a run does. Raises what `run` raises, and `PromiseBroken`."""
    done = run(source, log)
    log.report = done.to_json()
    require_kept(done.verdicts)


def run(source: Source, log: Journal) -> Report:
    """Upgrade the hub as its settings ask and prove that the promises held.

    Changes and restarts nothing when all is as asked. Raises what `checks.require` and
    `installer.run` raise, and `HubUnhealthy`. A broken promise is in the report's verdicts.
    """
    start, moment = time.monotonic(), time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    log.phase("Compare what is installed with what is asked")
    wanted = [*changes.software(source), *changes.settings(source)]
    if not wanted and not unfinished.read(source.hub):
        health.require(source.hub, source.services)
        return Report(changed=False, at=moment)
    begun = _begin(source, log)
    with Probe(targets(source)) as probe:
        _install(source, begun, log)
        log.phase("Wait for a healthy hub")
        _wait(source, begun)
    log.phase("Measure the promises again")
    report = Report(
        changed=True,
        at=moment,
        snapshot=begun.snapshot,
        page=str(_file(source, begun.snapshot, moment).with_suffix(".html")),
        seconds=round(time.monotonic() - start, 1),
        changes=_changed(source, begun.labels, wanted),
        verdicts=promises.judge(begun.before, promises.measure(source)),
        outages=[outage.to_json() for outage in probe.outages],
        before=begun.before,
    )
    _keep(report, source)
    unfinished.end(source.hub)
    return report


def _begin(source: Source, log: Journal) -> Unfinished:
    """Check and measure the hub and mark it; an unfinished upgrade is gone on with."""
    log.phase("Check that nothing speaks against it")
    checks.require(source)
    begun = unfinished.read(source.hub)
    if begun:
        log.phase("Go on with the upgrade that did not come to its end")
    else:
        kept = checks.fresh_snapshot(source)
        log.phase("Measure the promises")
        labels = versions.installed(source.hub).rows()
        begun = Unfinished(kept.path.name, labels, promises.measure(source))
        unfinished.begin(source.hub, begun)
    return begun


def _wait(source: Source, begun: Unfinished) -> None:
    """Wait until the hub is healthy, and until it leads to the user servers again."""
    seconds = source.settings.upgrade.healthy_within
    health.wait(source.hub, source.services, seconds)
    deadline = time.monotonic() + min(seconds, ROUTES)
    while time.monotonic() < deadline:
        now = SERVERS.measure(source)
        if SERVERS.judge(begun.before[SERVERS.name], now)[0]:
            return
        time.sleep(health.PAUSE)


def prove(source: Source) -> Report | None:
    """Measure the promises now, against what was measured before the last upgrade.

    None when that upgrade changed nothing, or there was none: there is nothing to prove then.
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
    if not last.get("changed"):
        return None
    values = _kept(_file(source, last["snapshot"], last["at"]))
    return Report(
        **{**values, "verdicts": promises.judge(values["before"], promises.measure(source))}
    )


def _kept(file: Path) -> dict[str, Any]:
    try:
        values: dict[str, Any] = json.loads(files.read(file))
    except (OSError, ValueError) as error:
        raise SnapshotMissing(
            f"What was measured before the last upgrade cannot be read: {file}: {error}.",
            hint="It lay in the snapshot that the upgrade started from. The promises can be "
            "measured again at the next upgrade.",
        ) from error
    return values


def require_kept(verdicts: list[Verdict]) -> None:
    """Raise `PromiseBroken` when a promise was not kept."""
    broken = [f"{each.promise} ({each.measured})" for each in verdicts if each.kept is False]
    if broken:
        raise PromiseBroken(
            f"The hub was upgraded and runs, but a promise was broken: {'; '.join(broken)}.",
            hint="The report lies with the snapshot, whose RESTORE.md tells how to go back.",
        )


def _install(source: Source, begun: Unfinished, log: Journal) -> None:
    log.phase("Set the settings that are unset")
    config.set_unset(source.hub, source.settings.upgrade.defaults)
    pids = {name: source.services.pid(name) for name in (services.PROXY, services.HUB)}
    wanted = changes.software(source)
    again = begun.labels != versions.installed(source.hub).rows()
    if wanted or again:
        log.phase("Install")
        try:
            installer.run(source, wanted, log.line)
        except InstallerFailed as error:
            notes = source.backups / begun.snapshot / manifest.NOTES
            raise InstallerFailed(
                f"{error.message}. {_state(source)}",
                hint=f"{error.hint} To go back instead, follow {notes}",
            ) from error
    for name, pid in pids.items():
        # The installer restarts both; what it has restarted is not restarted twice.
        if source.services.pid(name) == pid and (wanted or again or name == services.HUB):
            log.phase(f"Restart {name}")
            source.services.restart(name)


def _state(source: Source) -> str:
    """Say in what state a failed installation leaves the hub."""
    seen = health.look(source.hub, source.services)
    state = "still answers" if seen.healthy else f"is not healthy ({'; '.join(seen.wrong)})"
    return f"The hub {state}; users' servers and data were not touched."


def _changed(
    source: Source, before: dict[str, str], wanted: list[changes.Change]
) -> list[list[str]]:
    """Return name, before and after of all that has changed."""
    now = versions.installed(source.hub).rows()
    software = [
        [name, before.get(name, "not installed"), now.get(name, "removed")]
        for name in {**before, **now}
        if before.get(name) != now.get(name)
    ]
    names = {each.name for each in changes.settings(source)}
    set_now = [
        [each.name, each.before, each.after]
        for each in wanted
        if each.before == "unset" and each.name not in names
    ]
    return software + set_now


def _keep(report: Report, source: Source) -> None:
    """Write the report, and its page, beside the seal of the snapshot that it started from."""
    file = _file(source, str(report.snapshot), report.at)
    files.make_private(file.parent)
    data = json.dumps(asdict(report), indent=2, sort_keys=True).encode()
    files.write_new(file, data)
    files.write_new(file.with_suffix(".html"), _page(report, source.hub).encode())
    files.sync_folder(file.parent)


def _page(report: Report, hub: Hub) -> str:
    events = journal.read(hub, "upgrade")
    phases = [each for each in events if each["kind"] == "phase"]
    name = f"{hub.prefix} on {socket.gethostname()}"
    return report_page.render(report.to_json(), hub=name, phases=phases)


def _file(source: Source, kept: str, at: str) -> Path:
    return source.backups / kept / manifest.REPORTS / f"upgrade-{at}.json"
