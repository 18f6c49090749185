"""What the last recorded upgrade took: kept as data, and shown with ``{last-upgrade}``.

``./invoke docs.upgraded`` writes the record from the report of an upgrade: no page repeats a figure
by hand.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.util.docutils import SphinxRole

from tljh_runbook.hub.servers.probe import SERVER

FILE = Path("measured") / "upgrade.json"
Record = Mapping[str, Any]


def record(report: Record, back: Record, where: str) -> dict[str, Any]:
    """Return what pages show of an upgrade's report and of the end of its rollback.

    Times are in seconds, sizes in bytes; ``where`` tells on what it was carried out.
    """
    away = {each["name"]: each["away"] for each in report["outages"]}
    servers = [seconds for name, seconds in away.items() if name.startswith(SERVER)]
    at, forecast = report["at"], report["forecast"]
    return {
        "date": f"{at[:4]}-{at[4:6]}-{at[6:8]}",
        "where": where,
        "versions": [row for row in report["changes"] if row[0] in {"TLJH", "JupyterHub"}],
        "whole": report["seconds"],
        "hub away": away["hub"],
        "servers": len(servers),
        "servers away": max(servers, default=0.0),
        "disk": forecast["size"],
        "back": back["report"]["seconds"],
    }


def shown(kept: Record) -> dict[str, str]:
    """Return the words for each figure of a record."""
    return {
        "date": kept["date"],
        "where": kept["where"],
        "from": _versions(kept, 1),
        "to": _versions(kept, 2),
        "whole": _time(kept["whole"]),
        "hub away": _time(kept["hub away"]),
        "servers": str(kept["servers"]),
        "servers away": _time(kept["servers away"]),
        "disk": f"{kept['disk'] / 1e9:.1f} GB",
        "back": _time(kept["back"]),
    }


class LastUpgrade(SphinxRole):
    """A figure of the last recorded upgrade."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        """Return the figure, or an error where the record has none of that name."""
        file = Path(self.env.srcdir) / FILE
        self.env.note_dependency(str(file))
        words = shown(json.loads(file.read_text(encoding="utf-8")))
        if self.text not in words:
            problem = f"No figure is named {self.text!r}: only {', '.join(words)}."
            return [], [self.inliner.reporter.error(problem, line=self.lineno)]
        return [nodes.Text(words[self.text])], []


def _versions(kept: Record, column: int) -> str:
    named = [f"{row[0]} {row[column].partition(' (')[0]}" for row in kept["versions"]]
    return " with ".join(named)


def _time(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.0f} seconds" if seconds >= 10 else f"{seconds:.1f} seconds"
    return f"{seconds / 60:.0f} minutes"
