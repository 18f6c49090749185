"""Tables that Markdown can write only with a head, also where there is nothing to say in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from docutils import nodes

if TYPE_CHECKING:
    from sphinx.application import Sphinx


def behead(app: Sphinx, doctree: nodes.document) -> None:  # noqa: ARG001 Sphinx's signature
    """Remove each head without a word, which a screen reader would read out as empty."""
    for head in list(doctree.findall(nodes.thead)):
        if not head.astext().strip():
            head.parent.remove(head)
