"""The directives ``{measured}`` and ``{measured-on}``: the figures of the benchmarks' last record.

``./invoke bench --record`` writes it; a page repeats no figure by hand.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

FILE = Path("measured") / "bench.json"
HEAD = ["measured", "ours", "beside it", "ratio", "aim", "reached"]


class Recorded(SphinxDirective):
    """What reads the record, and is read again when it changes."""

    def record(self) -> dict[str, Any]:
        """Return the record."""
        file = Path(self.env.srcdir) / FILE
        self.env.note_dependency(str(file))
        found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        return found


class Measured(Recorded):
    """The figures of one group, as a table."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return the table, or say that the record has nothing of the group."""
        rows = [row for row in self.record()["rows"] if row["group"] == self.arguments[0]]
        if not rows:
            return self.parse_text_to_nodes("The last record has no figures of this.")
        lines = [HEAD, ["---"] * len(HEAD), *map(cells, rows)]
        return self.parse_text_to_nodes("".join(f"| {' | '.join(line)} |\n" for line in lines))


class MeasuredOn(Recorded):
    """When, on which machine and with which versions it was measured."""

    def run(self) -> list[nodes.Node]:
        """Return the list."""
        found = self.record()
        loads = {row["group"]: row["load"] for row in found["rows"]}
        facts = {"date": found["date"], **found["machine"], **found["versions"]}
        facts["load before"] = ", ".join(f"{name} {load}" for name, load in loads.items())
        return self.parse_text_to_nodes("".join(f"- {each}: {facts[each]}\n" for each in facts))


def cells(row: dict[str, Any]) -> list[str]:
    """Return the words of one row."""
    ours, peer, ratio, unit = row["ours"], row["peer"], row["ratio"], row["unit"]
    return [
        row["name"],
        f"{ours['median']:g} {unit}",
        f"{peer['name']}: {peer['median']:g} {unit}" if peer else "",
        f"{ratio['median']:.2f} ({ratio['min']:.2f} to {ratio['max']:.2f})" if ratio else "",
        f"≤ {row['aim']:g}" + ("" if ratio else f" {unit}"),
        f"{'yes' if row['reached'] else '**no**'}, of {row['rounds']}",
    ]
