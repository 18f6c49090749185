"""The page of figures shows those of the record: every one, also where an aim was not reached."""

from __future__ import annotations

import json
from pathlib import Path

from documented.pages import Site
from docutils import nodes

ROOT = Path(__file__).parents[2]


def test_every_figure_is_on_the_page_with_how_it_ended(site: Site) -> None:
    recorded = json.loads((ROOT / "docs/measured/bench.json").read_text(encoding="utf-8"))["rows"]
    rows = site.doctree("reference/benchmarks").findall(nodes.row)
    cells = [[entry.astext() for entry in row.findall(nodes.entry)] for row in rows]
    shown = {
        (name.replace("\N{RIGHT SINGLE QUOTATION MARK}", "'"), reached.split(",")[0])
        for name, *_, reached in cells
    }
    wanted = {(row["name"].strip("`"), "yes" if row["reached"] else "no") for row in recorded}
    assert wanted <= shown
    assert recorded
