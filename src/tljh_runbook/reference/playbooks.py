"""The directives ``{playbook-list}`` and ``{variables-table}``, made from the playbooks themselves.

A variable is a label of its own, so that a page can point at it: ``{ref}`variable-tljh-users```.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from docutils import nodes

import tljh_runbook
from tljh_runbook.reference.tables import Table

FOLDER = Path(tljh_runbook.__file__).parent / "playbooks"
VARIABLES = FOLDER / "roles" / "tljh" / "defaults" / "main.yml"
FIRST = "site.yml"


@dataclass(frozen=True)
class Variable:
    """One variable: its name, the comment above it, and its default as it is written."""

    name: str
    meaning: str
    default: str


def playbooks() -> dict[str, str]:
    """Return each playbook by its file's name, with the comment that it begins with."""
    files = sorted(FOLDER.glob("*.yml"), key=lambda file: (file.name != FIRST, file.name))
    return {file.name: _leading(file.read_text(encoding="utf-8")) for file in files}


def variables() -> list[Variable]:
    """Return all variables, in the order of their file."""
    parts = VARIABLES.read_text(encoding="utf-8").removeprefix("---").strip().split("\n\n")
    return [variable for part in parts for variable in _read(part.strip())]


def _read(part: str) -> Iterator[Variable]:
    """Yield the variable of one paragraph of the file; a paragraph of comments holds none."""
    written = [line for line in part.splitlines() if not line.startswith("#")]
    if written:
        yield Variable(written[0].partition(":")[0], _leading(part), "\n".join(written))


def _leading(text: str) -> str:
    """Return the comment at the beginning of a text, as one line."""
    words = []
    for line in text.removeprefix("---\n").splitlines():
        if not line.startswith("#"):
            break
        words.append(line.removeprefix("#").strip())
    return " ".join(words)


class PlaybookList(Table):
    """Every playbook, with what it does."""

    def run(self) -> list[nodes.Node]:
        """Return the list of playbooks."""
        for name in playbooks():
            self.env.note_dependency(str(FOLDER / name))
        return [nodes.definition_list("", *(self._row(*each) for each in playbooks().items()))]

    def _row(self, name: str, does: str) -> nodes.definition_list_item:
        label = self.label("playbook", name.removesuffix(".yml"))
        return self.entry(label, [nodes.literal(name, name)], self.parse_text_to_nodes(does))


class VariablesTable(Table):
    """Every variable of the playbooks, with its meaning and its default."""

    def run(self) -> list[nodes.Node]:
        """Return the list of variables."""
        self.env.note_dependency(str(VARIABLES))
        return [nodes.definition_list("", *map(self._row, variables()))]

    def _row(self, each: Variable) -> nodes.definition_list_item:
        block = nodes.literal_block(each.default, each.default, language="yaml")
        content = [*self.parse_text_to_nodes(f"{each.meaning} The default:"), block]
        label = self.label("variable", each.name)
        return self.entry(label, [nodes.literal(each.name, each.name)], content)
