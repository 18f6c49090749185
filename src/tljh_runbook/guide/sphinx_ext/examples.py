"""Examples that are not carried out as the others are, with the reason in the reader's sight."""

from __future__ import annotations

from docutils import nodes
from sphinx.util.docutils import SphinxDirective


class NotExecuted(SphinxDirective):
    """Wrap blocks that the documentation's tests leave out; the argument says why."""

    required_arguments = 1
    final_argument_whitespace = True
    has_content = True

    def run(self) -> list[nodes.Node]:
        """Return the reason, as the reader sees it, and the blocks."""
        words, messages = self.parse_inline(f"Not executed: {self.arguments[0]}")
        paragraph = nodes.paragraph("", "", nodes.emphasis("", "", *words))
        self.set_source_info(paragraph)
        box = nodes.container("", paragraph, *messages, classes=["not-executed"])
        box["reason"] = self.arguments[0]
        self.set_source_info(box)
        box += self.parse_content_to_nodes()
        return [box]


class OnServer(SphinxDirective):
    """Wrap blocks that are carried out on a booted server: a sandbox has not all it needs."""

    has_content = True

    def run(self) -> list[nodes.Node]:
        """Return the blocks; each shows where it ran."""
        box = nodes.container("", place="server")
        self.set_source_info(box)
        box += self.parse_content_to_nodes()
        return [box]
