"""The search data that leads from a message on the terminal to its explanation.

Sphinx's own search requires every word of a query to be on the page. A message names *your* files
and servers, which are on no page. So the browser gets the message texts with placeholders instead.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from docutils import nodes

if TYPE_CHECKING:
    from sphinx.application import Sphinx

FILE = "_static/symptoms.js"
HERE = "runbook-symptoms"  # in the front matter of pages whose terms are messages
FOUND = "runbook-found"  # the key in the page metadata of Sphinx
HOLE = "…"
_CAPITALS = re.compile(r"\b[A-Z]{2,}\b")  # on a page, such a word is a placeholder


def remember(app: Sphinx, doctree: nodes.document) -> None:
    """Store a page's messages in its metadata; give each term an anchor if terms are messages."""
    known = app.env.metadata[app.env.docname]
    if HERE in known:
        for number, term in enumerate(doctree.findall(nodes.term), start=1):
            term["ids"].append(f"symptom-{number}")
    known[FOUND] = list(_on(doctree, terms=HERE in known))


def write(app: Sphinx, exception: Exception | None) -> None:
    """Write all messages, each with its URL, for the search page."""
    if exception is None and app.builder.format == "html":
        found = [
            (shown, text, f"{app.builder.get_target_uri(page)}#{at}", app.env.titles[page].astext())
            for page in sorted(app.env.found_docs)
            for shown, text, at in app.env.metadata[page].get(FOUND, ())  # the 404 page stores none
            if re.search(r"\w", text)  # otherwise there is nothing to search for
        ]
        text = json.dumps(found, ensure_ascii=False, separators=(",", ":"))
        Path(app.outdir, FILE).write_text(f"const SYMPTOMS={text};\n", encoding="utf-8")


def _on(doctree: nodes.document, *, terms: bool) -> Iterator[tuple[str, str, str]]:
    """Yield each message of a page: its text, its text with placeholders, and its anchor."""
    for items in doctree.findall(nodes.bullet_list):
        if "symptoms" in items["classes"]:
            yield from _in_table(items)
    for term in doctree.findall(nodes.term) if terms else ():
        text = term.astext()
        yield text, _CAPITALS.sub(HOLE, text), term["ids"][-1]


def _in_table(items: nodes.bullet_list) -> Iterator[tuple[str, str, str]]:
    for item in items.findall(nodes.list_item):
        for line in item.findall(nodes.paragraph):
            first, _, *words = line.children
            if first.astext() == "error:":
                holes = (
                    HOLE if isinstance(word, nodes.emphasis) else word.astext() for word in words
                )
                shown = "".join(word.astext() for word in words)
                yield shown, "".join(holes), item["ids"][0]
