"""Prose from a Python file, parsed into a page, with warnings that point to the Python file."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from docutils import nodes
from sphinx.util import logging as sphinx_logging
from sphinx.util.docutils import SphinxDirective

logger = sphinx_logging.getLogger(__name__)


def parse(directive: SphinxDirective, text: str, file: str, line: int) -> list[nodes.Node]:
    """Return the nodes of ``text``, whose warnings point to ``file``, starting at ``line``.

    Warns about headings: they would be separated from the step, and placed before it.
    """
    document = directive.state.document
    # The parser adds the directive's own line to the offset.
    offset = line - 1 - directive.lineno
    with _source(document, file), _relocated(directive.env.docname, file):
        found = directive.parse_text_to_nodes(text, offset=offset)
    for heading in _headings(found):
        logger.warning(
            "The prose of a step must have no headings: %s",
            heading.astext(),
            location=f"{file}:{heading.line or line}",
            type="step",
            subtype="heading",
        )
    return found


def _headings(found: list[nodes.Node]) -> list[nodes.Element]:
    return [
        each
        for node in found
        for each in node.findall(nodes.Element)
        if isinstance(each, nodes.title | nodes.rubric)
    ]


@contextmanager
def _source(document: nodes.document, file: str) -> Iterator[None]:
    """Set ``file`` as the source of the nodes that are created in this context."""
    page, document["source"] = document["source"], file
    try:
        yield
    finally:
        document["source"] = page


@contextmanager
def _relocated(docname: str, file: str) -> Iterator[None]:
    """Make the parser's warnings point to ``file`` instead of the page.

    The parser reports the right line, but with the name of the page, or in older versions with our
    file as if it were a page.
    """

    def relocate(record: logging.LogRecord) -> bool:
        place = getattr(record, "location", None)
        if isinstance(place, tuple) and place[0] in {docname, file}:
            record.location = f"{file}:{place[1]}"
        return True

    handlers = logging.getLogger("sphinx").handlers
    for handler in handlers:
        handler.filters.insert(0, relocate)  # before Sphinx's own, which format it as text
    try:
        yield
    finally:
        for handler in handlers:
            handler.filters.remove(relocate)
