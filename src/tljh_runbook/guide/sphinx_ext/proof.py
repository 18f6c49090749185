"""The text below each example that says when and where it last ran, or a warning if it did not."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from docutils import nodes
from sphinx.util import logging

from tljh_runbook.guide.sphinx_ext import evidence

if TYPE_CHECKING:
    from sphinx.application import Sphinx

logger = logging.getLogger(__name__)

LANGUAGE = "console"


def required() -> bool:
    """Return whether missing evidence must fail the build, because the pages are published."""
    return bool(os.environ.get("CI") or os.environ.get("READTHEDOCS"))


def show(app: Sphinx, doctree: nodes.document) -> None:
    """Mark each executed block with its place and key, and show its record."""
    page = app.env.docname
    blocks = [node for node in _transcripts(doctree) if not _within(node, "reason")]
    if not blocks:
        return
    kept = evidence.file(Path(app.srcdir), page)
    records = evidence.read(kept)
    if kept.exists():
        app.env.note_dependency(str(kept))
    for block in blocks:
        block["place"] = _within(block, "place") or _place(app.env.metadata[page])
        block["evidence"] = evidence.key(block["place"], block.astext())
        _prove(app, block, records.get(block["evidence"]))


def _prove(app: Sphinx, block: nodes.literal_block, record: evidence.Record | None) -> None:
    if record is None:
        _miss(app, block)
        return
    shown = nodes.paragraph("", "", nodes.emphasis("", record.text), classes=["evidence"])
    block.parent.insert(block.parent.index(block) + 1, shown)


def _miss(app: Sphinx, block: nodes.literal_block) -> None:
    """Report that a block has not run in its current form, and report it in the next build, too."""
    app.env.note_reread()
    command = block.astext().partition("\n")[0]
    text = f"No evidence that this ran as it is shown: {command!r}. Run it: ./invoke docs.test"
    if app.config.runbook_evidence_required:
        logger.warning(text, location=block, type="step", subtype="evidence")
    else:
        # Not a warning: authors build a page many times before its examples are executed.
        sys.stderr.write(f"notice: {app.env.docname}: {text}\n")


def _transcripts(doctree: nodes.document) -> Iterator[nodes.literal_block]:
    return (
        node for node in doctree.findall(nodes.literal_block) if node.get("language") == LANGUAGE
    )


def _within(node: nodes.Node, mark: str) -> str:
    """Return the attribute ``mark`` of the closest enclosing node that has it; otherwise empty."""
    while node.parent is not None:
        node = node.parent
        if isinstance(node, nodes.Element) and mark in node:
            return str(node[mark])
    return ""


def _place(front_matter: dict[str, object]) -> str:
    return "shell" if front_matter.get("runbook-sandbox") == "none" else "sandbox"
