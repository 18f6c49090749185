"""The directives that render steps."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, cast

from docutils import nodes
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

from tljh_runbook.errors import StepUnknown
from tljh_runbook.guide import catalog
from tljh_runbook.guide.sphinx_ext import lines, prose, ways
from tljh_runbook.guide.steps import Step

if TYPE_CHECKING:
    from tljh_runbook.guide.sphinx_ext.domain import StepDomain

logger = logging.getLogger(__name__)

TEXTS = {
    "changes": "What it changes",
    "check": "How to check",
    "undo": "How to undo",
    "fails": "If it fails",
}
PROMPT = "$ "  # a body that starts with this is a complete transcript


class StepDirective(SphinxDirective):
    """Render a step; the body is the output of its command, which the tests check."""

    required_arguments = 1
    has_content = True

    def run(self) -> list[nodes.Node]:
        """Return the rendered step: why, prose, commands, output, and the other texts."""
        try:
            step = catalog.find(self.arguments[0])
        except StepUnknown as error:
            warn(f"{error.message} {error.advice}", self.get_location(), "unknown")
            return []
        self.env.note_dependency(step.file)
        box = nodes.container("", ids=[self._noted(step)], classes=["step"])
        self.set_source_info(box)
        box += self._text(step, "why")
        box += self._text(step, lines.PROSE)
        box += ways.tabs(step)
        box += nodes.definition_list("", *self._items(step))
        return [box]

    def _items(self, step: Step) -> Iterator[nodes.definition_list_item]:
        if self.content:
            yield _item("What it prints", [self._example(step)])
        for name, term in TEXTS.items():
            yield _item(term, self._text(step, name))

    def _text(self, step: Step, name: str) -> list[nodes.Node]:
        """Return one of the step's texts, with the step's file as its source."""
        text: str = getattr(step, name)
        line = lines.of(step)[name]
        if not text.strip():
            warn(f"The step {step.name} has no text {name!r}.", f"{step.file}:{line}", "incomplete")
        return prose.parse(self, text, step.file, line)

    def _noted(self, step: Step) -> str:
        anchor = nodes.make_id(f"step-{step.name}")
        domain = cast("StepDomain", self.env.domains["step"])
        domain.note_step(step.name, self.env.docname, anchor, self.lineno)
        return anchor

    def _example(self, step: Step) -> nodes.literal_block:
        """Return the transcript in the body, with the command added if it is missing."""
        body = list(self.content)
        first = self.lineno + self.content_offset + 1
        if not body[0].startswith(PROMPT):
            body, first = [f"$ {step.command}", *body], first - 1
        block = ways.literal("\n".join(body), "console")
        self.set_source_info(block)
        block["first_line"] = first  # in the page, for the messages of the tests
        return block


class StepList(SphinxDirective):
    """List all steps, each with its linked command and its summary."""

    def run(self) -> list[nodes.Node]:
        """Return the list."""
        return [nodes.definition_list("", *map(self._item, catalog.every()))]

    def _item(self, step: Step) -> nodes.definition_list_item:
        self.env.note_dependency(step.file)
        link, _ = self.parse_inline(f"{{step}}`{step.name}`")
        place = lines.of(step)[lines.PROSE]
        return nodes.definition_list_item(
            "",
            nodes.term("", "", *link),
            nodes.definition("", *prose.parse(self, step.summary, step.file, place)),
        )


def _item(term: str, content: list[nodes.Node]) -> nodes.definition_list_item:
    return nodes.definition_list_item("", nodes.term("", term), nodes.definition("", *content))


def warn(message: str, location: str, subtype: str) -> None:
    """Log a warning about a step."""
    logger.warning("%s", message, location=location, type="step", subtype=subtype)
