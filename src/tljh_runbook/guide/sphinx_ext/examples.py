"""Examples that are not executed, with a visible reason, or that need a booted server."""

from __future__ import annotations

from docutils import nodes
from sphinx.util.docutils import SphinxDirective


class NotExecuted(SphinxDirective):
    """Wrap blocks that the documentation's tests skip; the argument is the reason."""

    required_arguments = 1
    final_argument_whitespace = True
    has_content = True

    def run(self) -> list[nodes.Node]:
        """Return the blocks, preceded by the reason."""
        words, messages = self.parse_inline(f"Not executed: {self.arguments[0]}")
        paragraph = nodes.paragraph("", "", nodes.emphasis("", "", *words))
        self.set_source_info(paragraph)
        box = nodes.container("", paragraph, *messages, classes=["not-executed"])
        box["reason"] = self.arguments[0]
        self.set_source_info(box)
        box += self.parse_content_to_nodes()
        return [box]


class OnServer(SphinxDirective):
    """Wrap blocks that run on a booted server, because a sandbox lacks something they need."""

    has_content = True

    def run(self) -> list[nodes.Node]:
        """Return the blocks, marked with where they run."""
        box = nodes.container("", place="server")
        self.set_source_info(box)
        box += self.parse_content_to_nodes()
        return [box]
