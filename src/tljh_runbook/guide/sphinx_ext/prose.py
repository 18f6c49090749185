"""Prose from a Python file, parsed into a page as if it stood in a page of its own."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from docutils import nodes
from sphinx.util import logging as sphinx_logging
from sphinx.util.docutils import SphinxDirective

logger = sphinx_logging.getLogger(__name__)


def parse(directive: SphinxDirective, text: str, file: str, line: int) -> list[nodes.Node]:
    """Return the nodes of ``text``, whose warnings point at ``file``, from ``line`` on.

    Headings are refused: they would come loose from the step and end up before it.
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
    """Let the nodes that are made meanwhile come from ``file``."""
    page, document["source"] = document["source"], file
    try:
        yield
    finally:
        document["source"] = page


@contextmanager
def _relocated(docname: str, file: str) -> Iterator[None]:
    """Let the warnings that the parser gives for the page point at ``file``.

    It knows only pages: along with a line, which is ours, it gives the page's name, or in older
    versions our file as if it were one.
    """

    def relocate(record: logging.LogRecord) -> bool:
        place = getattr(record, "location", None)
        if isinstance(place, tuple) and place[0] in {docname, file}:
            record.location = f"{file}:{place[1]}"
        return True

    handlers = logging.getLogger("sphinx").handlers
    for handler in handlers:
        handler.filters.insert(0, relocate)  # before Sphinx's own, which make a text of it
    try:
        yield
    finally:
        for handler in handlers:
            handler.filters.remove(relocate)
