"""Tables without a header, which Markdown cannot express: it requires one, even if empty."""

from __future__ import annotations

from typing import TYPE_CHECKING

from docutils import nodes

if TYPE_CHECKING:
    from sphinx.application import Sphinx


def behead(app: Sphinx, doctree: nodes.document) -> None:  # noqa: ARG001 Sphinx's signature
    """Remove each empty header, which a screen reader would read out."""
    for head in list(doctree.findall(nodes.thead)):
        if not head.astext().strip():
            head.parent.remove(head)
