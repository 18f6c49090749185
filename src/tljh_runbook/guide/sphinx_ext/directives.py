"""The directives that render steps."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from docutils import nodes
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

from tljh_runbook.errors import StepUnknown
from tljh_runbook.guide import catalog
from tljh_runbook.guide.sphinx_ext import lines, prose
from tljh_runbook.guide.steps import Step, Target

if TYPE_CHECKING:
    from tljh_runbook.guide.sphinx_ext.domain import StepDomain

logger = logging.getLogger(__name__)

PROMPT = "$ "  # a body that begins so is a whole transcript


class StepDirective(SphinxDirective):
    """Render a step; the body is what its command prints, and is checked by being carried out."""

    required_arguments = 1
    has_content = True

    def run(self) -> list[nodes.Node]:
        """Return the step: prose, command, plan, how to check it, how to undo it."""
        try:
            step = catalog.find(self.arguments[0])
        except StepUnknown as error:
            self._warn(error)
            return []
        self.env.note_dependency(step.file)
        place = lines.of(step)
        box = nodes.container("", ids=[self._noted(step)], classes=["step"])
        self.set_source_info(box)
        box += prose.parse(self, step.prose, step.file, place.prose)
        box += self._example(step)
        box += nodes.definition_list(
            "",
            _item("What it runs", [_literal(_plan(step), "sh")]),
            _item("How to check", prose.parse(self, step.check, step.file, place.check)),
            _item("How to undo", prose.parse(self, step.undo, step.file, place.undo)),
        )
        return [box]

    def _noted(self, step: Step) -> str:
        anchor = nodes.make_id(f"step-{step.name}")
        domain = cast("StepDomain", self.env.domains["step"])
        domain.note_step(step.name, self.env.docname, anchor, self.lineno)
        return anchor

    def _example(self, step: Step) -> nodes.literal_block:
        """Return the transcript of the page, or the bare command where the page shows none."""
        body = list(self.content)
        if not body:
            return _literal(step.command, "sh")
        first = self.lineno + self.content_offset + 1
        if not body[0].startswith(PROMPT):
            body, first = [f"$ {step.command}", *body], first - 1
        block = _literal("\n".join(body), "console")
        self.set_source_info(block)
        block["first_line"] = first  # in the page: what a test points at
        return block

    def _warn(self, error: StepUnknown) -> None:
        logger.warning(
            "%s %s",
            error.message,
            error.hint,
            location=self.get_location(),
            type="step",
            subtype="unknown",
        )


class StepList(SphinxDirective):
    """List all steps: each command, with a link, and its summary."""

    def run(self) -> list[nodes.Node]:
        """Return the list."""
        return [nodes.definition_list("", *map(self._item, catalog.every()))]

    def _item(self, step: Step) -> nodes.definition_list_item:
        self.env.note_dependency(step.file)
        link, _ = self.parse_inline(f"{{step}}`{step.name}`")
        place = lines.of(step).prose
        return nodes.definition_list_item(
            "",
            nodes.term("", "", *link),
            nodes.definition("", *prose.parse(self, step.summary, step.file, place)),
        )


def _item(term: str, content: list[nodes.Node]) -> nodes.definition_list_item:
    return nodes.definition_list_item("", nodes.term("", term), nodes.definition("", *content))


def _plan(step: Step) -> str:
    return "\n".join(command.line for command in step.plan(Target()))


def _literal(text: str, language: str) -> nodes.literal_block:
    return nodes.literal_block(text, text, language=language)
