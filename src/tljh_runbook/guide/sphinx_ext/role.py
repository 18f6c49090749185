"""The role that refers to a step: its command, as a link to the step."""

from __future__ import annotations

from typing import TYPE_CHECKING

from docutils import nodes
from sphinx.roles import XRefRole
from sphinx.util import logging

from tljh_runbook.errors import StepUnknown
from tljh_runbook.guide import catalog

if TYPE_CHECKING:
    from docutils.nodes import system_message
    from sphinx.environment import BuildEnvironment

logger = logging.getLogger(__name__)


class StepRole(XRefRole):
    """Refer to a step by name; the link text defaults to the command."""

    def run(self) -> tuple[list[nodes.Node], list[system_message]]:
        """Return the reference; for an unknown step, warn and return the plain text."""
        try:
            step = catalog.find(self.target)
        except StepUnknown as error:
            self._warn(error)
            return [nodes.literal(self.rawtext, self.title)], []
        self.env.note_dependency(step.file)
        self.name = "step:step"  # so that the short name resolves in the same way
        self.innernodeclass = nodes.inline if self.has_explicit_title else nodes.literal
        return super().run()

    def process_link(
        self,
        env: BuildEnvironment,  # noqa: ARG002 the signature is Sphinx's
        refnode: nodes.Element,  # noqa: ARG002
        has_explicit_title: bool,
        title: str,
        target: str,
    ) -> tuple[str, str]:
        """Return the link text and the full name of the step."""
        step = catalog.find(target)
        return (title if has_explicit_title else step.command), step.name

    def _warn(self, error: StepUnknown) -> None:
        logger.warning(
            "%s %s",
            error.message,
            error.advice,
            location=self.get_location(),
            type="step",
            subtype="unknown",
        )
