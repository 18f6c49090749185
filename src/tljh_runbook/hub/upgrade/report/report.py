"""The report of an upgrade, stored with the snapshot that it started from."""

from __future__ import annotations

import json
import socket
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tljh_runbook.errors import SnapshotMissing
from tljh_runbook.hub.context import Source
from tljh_runbook.hub.core import files
from tljh_runbook.hub.core.layout import Hub
from tljh_runbook.hub.runs import journal
from tljh_runbook.hub.snapshots import manifest
from tljh_runbook.hub.upgrade import changes
from tljh_runbook.hub.upgrade.changes import Change
from tljh_runbook.hub.upgrade.guarantees import Measures, Verdict
from tljh_runbook.hub.upgrade.report import report_page
from tljh_runbook.hub.versions import versions


@dataclass(frozen=True)
class Report:
    """The report of an upgrade. Durations are in seconds, ``at`` is in UTC."""

    changed: bool
    at: str
    snapshot: str | None = None
    page: str | None = None
    seconds: float = 0.0
    changes: list[list[str]] = field(default_factory=list)
    verdicts: list[Verdict] = field(default_factory=list)
    outages: list[dict[str, Any]] = field(default_factory=list)
    probe_after: float = 0.0
    """The time from the start of the run to the start of the probes."""
    probe_seconds: float = 0.0
    """The time during which the probes ran."""
    targets: list[dict[str, Any]] = field(default_factory=list)
    """The target version of each package, and why it was chosen."""
    forecast: dict[str, Any] | None = None
    confirm_until: str = ""
    """The time until which it must be confirmed; empty if it need not be."""
    why: str = ""
    """Why it was rolled back automatically; empty if a person requested the rollback."""
    before: Measures = field(default_factory=dict, repr=False)

    def to_json(self) -> dict[str, Any]:
        """Return the report as data, without the measurements behind its verdicts."""
        values = {name: value for name, value in asdict(self).items() if name != "before"}
        return values | {"verdicts": [each.to_json() for each in self.verdicts]}


def changed(
    source: Source, before: dict[str, str], wanted: Sequence[Change] = ()
) -> list[list[str]]:
    """Return the name and the values before and after of everything that has changed."""
    now = versions.installed(source.hub).rows()
    software = [
        [name, before.get(name, "not installed"), now.get(name, "removed")]
        for name in {**before, **now}
        if before.get(name) != now.get(name)
    ]
    known = {row[0] for row in software} | (changes.left(source) if wanted else set())
    others = [[each.name, each.before, each.after] for each in wanted if each.name not in known]
    return software + others


def keep(report: Report, source: Source) -> None:
    """Write the report and its page next to the manifest of the snapshot that it started from."""
    path = file(source, str(report.snapshot), report.at)
    data = json.dumps(asdict(report), indent=2, sort_keys=True).encode()
    with files.disk_errors(path.parent, "The hub was upgraded, and only the report is missing."):
        files.make_private(path.parent)
        files.write_new(path, data)
        files.write_new(path.with_suffix(".html"), _page(report, source.hub).encode())
        files.sync_folder(path.parent)


def _page(report: Report, hub: Hub) -> str:
    events = journal.read(hub, "upgrade")
    phases = [each for each in events if each["kind"] == "phase"]
    name = f"{hub.prefix} on {socket.gethostname()}"
    return report_page.render(report.to_json(), hub=name, phases=phases)


def file(source: Source, kept: str, at: str) -> Path:
    """Return the path of an upgrade's report; its page has the same name, ending in ``.html``."""
    return source.backups / kept / manifest.REPORTS / f"upgrade-{at}.json"


def read(path: Path) -> dict[str, Any]:
    """Read a report, with its measurements. Raises `SnapshotMissing`."""
    try:
        values: dict[str, Any] = json.loads(files.read(path))
    except (OSError, ValueError) as error:
        raise SnapshotMissing(
            f"What was measured before the last upgrade cannot be read: {path}: {error}.",
            hint="It lay in the snapshot that the upgrade started from. The guarantees can be "
            "measured again at the next upgrade.",
        ) from error
    return values
