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


def test_every_result_of_a_real_server_is_on_the_page(site: Site) -> None:
    stories = json.loads((ROOT / "docs/measured/upstream.json").read_text(encoding="utf-8"))
    tests = [test for story in stories["stories"].values() for test in story["tests"]]
    rows = site.doctree("reference/real-servers").findall(nodes.row)
    cells = [[entry.astext() for entry in row.findall(nodes.entry)] for row in rows]
    results = [held.split(":")[0] for _, held in (row for row in cells if len(row) == 2)]
    wanted = [{"passed": "yes", "failed": "no"}.get(each["outcome"], "not run") for each in tests]
    assert [each for each in results if each != "held"] == wanted
    assert tests
