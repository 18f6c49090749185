"""A printable checklist, generated from the texts of the steps."""

from __future__ import annotations

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

from tljh_runbook.errors import StepUnknown
from tljh_runbook.guide import catalog
from tljh_runbook.guide.sphinx_ext import lines, prose
from tljh_runbook.guide.steps import Step


class Checklist(SphinxDirective):
    """A checklist; each line of the body is the name of a step, or free text after a ``-``."""

    has_content = True

    def run(self) -> list[nodes.Node]:
        """Return the list."""
        given = [line.strip() for line in self.content if line.strip()]
        return [nodes.bullet_list("", *map(self._item, given), classes=["checklist"])]

    def _item(self, line: str) -> nodes.list_item:
        if line.startswith("- "):
            words, _ = self.parse_inline(line.removeprefix("- "))
            return nodes.list_item("", nodes.paragraph("", "", *words))
        try:
            return self._of(catalog.find(line))
        except StepUnknown as error:
            raise self.error(f"{error.message} {error.advice}") from error

    def _of(self, step: Step) -> nodes.list_item:
        """Return a step's title, its command as a link to the step, and how to check it."""
        self.env.note_dependency(step.file)
        link, _ = self.parse_inline(f"{{step}}`{step.name}`")
        title = nodes.paragraph("", "", nodes.strong("", step.title), nodes.Text(": "), *link)
        check = prose.parse(self, step.check, step.file, lines.of(step)["check"])
        return nodes.list_item("", title, *check)
