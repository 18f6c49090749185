"""The directives ``{real-servers}`` and ``{real-downtime}``: what ran on real servers.

``./invoke test.upstream --record`` writes the record; a page repeats no result by hand.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

FILE = Path("measured") / "upstream.json"
RESULTS = {"passed": "yes", "failed": "**no**", "skipped": "not run"}
LIMIT = "stop of the old + first start of the new version"
DOWNTIME = ("what", "hub", "login page", "services", "users' servers", "websockets closed")
Story = Mapping[str, Any]


class _Recorded(SphinxDirective):
    def stories(self) -> list[Story]:
        """Return the recorded stories; read again when the record changes."""
        file = Path(self.env.srcdir) / FILE
        self.env.note_dependency(str(file))
        found: dict[str, Story] = json.loads(file.read_text(encoding="utf-8"))["stories"]
        return list(found.values())

    def parsed(self, lines: Iterator[str]) -> list[nodes.Node]:
        """Return Markdown as nodes."""
        return self.parse_text_to_nodes("\n".join(lines))


class RealServers(_Recorded):
    """Each story: on what it ran, what was not real, and what was found."""

    def run(self) -> list[nodes.Node]:
        """Return the stories, one after the other."""
        return self.parsed(line for story in self.stories() for line in results(story))


class RealDowntime(_Recorded):
    """How long users waited, beside what they wait for without the tool."""

    def run(self) -> list[nodes.Node]:
        """Return one table for each story that measured it."""
        return self.parsed(line for story in self.stories() for line in downtime(story))


def results(story: Story) -> Iterator[str]:
    """Yield the lines that show what one story found."""
    yield from (f"**{story['title']}**", "")
    good = sum(test["outcome"] == "passed" for test in story["tests"])
    yield f"{good} of {len(story['tests'])} held, {story['date']}. The sources:"
    yield ""
    yield from (
        f"- {source}, commit `{commit[:12]}`" for source, commit in story["sources"].items()
    )
    yield from ("", "What was not real:", "")
    yield from (f"- {line}" for line in story["not_real"])
    yield from ("", "| what | held |", "| --- | --- |")
    for test in story["tests"]:
        why = f": {_plain(test['why'])}" if test["outcome"] != "passed" else ""
        yield f"| {test['says']} | {RESULTS[test['outcome']]}{why} |"
    yield ""


def downtime(story: Story) -> Iterator[str]:
    """Yield the tables of one story's downtime, one for each pair of versions."""
    pairs = dict.fromkeys(row["versions"] for row in story["downtime"])
    for versions in pairs:
        rows = [row for row in story["downtime"] if row["versions"] == versions]
        limit = next((row["hub"] for row in rows if row["action"] == LIMIT), 0)
        yield from (f"**{versions}**", "", f"| {' | '.join(DOWNTIME)} |")
        yield "| --- " * len(DOWNTIME) + "|"
        yield from (_cost(row, limit) for row in rows)
        yield ""


def _cost(row: Mapping[str, Any], limit: float) -> str:
    hub = f"{row['hub']:.1f} s"
    if limit and row["action"] == "tljh-runbook upgrade":
        hub += f" ({row['hub'] / limit:.2f} ×)"
    services = ", ".join(f"{name} {value:.1f} s" for name, value in row["services"].items())
    users = "none ran" if row["users"] is None else f"{row['users']:.1f} s"
    cells = (row["action"], hub, f"{row['login']:.1f} s", services or "none", users)
    return f"| {' | '.join(cells)} | {row['websockets']} |"


def _plain(text: str) -> str:
    """Return a reason as one piece of code that a table can hold."""
    return "`" + text.replace("|", "/").replace("`", "'") + "`"
