"""The summary of each page, its first paragraph: for link previews and for `llms.txt`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from docutils import nodes
from docutils.utils import new_document

if TYPE_CHECKING:
    from sphinx.application import Sphinx

CARD = "_static/card.png"
LLMS = "llms.txt"
HERE = "runbook-summary"  # the key in the page metadata of Sphinx


def of(doctree: nodes.Node) -> str:
    """Return the first paragraph of a page as plain text, on one line."""
    first = _first(doctree)
    return " ".join(first.astext().split()) if first else ""


def remember(app: Sphinx, doctree: nodes.document) -> None:
    """Store the first paragraph in the metadata, so that listing pages does not read them again."""
    first = _first(doctree)
    kept = first.deepcopy() if first else None
    for node in kept.findall() if kept else ():
        node.document = None  # type: ignore[assignment]  # otherwise it retains the whole page
    app.env.metadata[app.env.docname][HERE] = kept


def add(
    app: Sphinx,
    pagename: str,  # noqa: ARG001 the signature is Sphinx's
    templatename: str,  # noqa: ARG001
    context: dict[str, Any],
    doctree: nodes.document | None,
) -> None:
    """Pass the page's summary and preview image to the template."""
    if doctree is not None:
        context["summary"] = of(doctree)
        context["card"] = app.config.html_baseurl + CARD


def write_llms(app: Sphinx, exception: Exception | None) -> None:
    """Write `llms.txt`: every page in the order of the guide, with its URL and summary."""
    if exception is None and app.builder.format == "html":
        Path(app.outdir, LLMS).write_text(_llms(app), encoding="utf-8")


def _llms(app: Sphinx) -> str:
    root = app.config.root_doc
    title = app.config.project
    lines = [f"# {title}", "", f"> {_resolved(app, root)}", "", "## Pages", ""]
    return "\n".join([*lines, *(_line(app, each) for each in _in_order(app, root)), ""])


def _line(app: Sphinx, page: str) -> str:
    name = app.env.titles[page].astext()
    address = app.config.html_baseurl + app.builder.get_target_uri(page)
    return f"- [{name}]({address}): {_resolved(app, page)}"


def _resolved(app: Sphinx, page: str) -> str:
    """Return the summary of a page, with references resolved to their text."""
    first = app.env.metadata[page][HERE]
    if first is None:
        return ""
    alone = new_document(page)
    alone.append(first.deepcopy())
    app.env.resolve_references(alone, page, app.builder)
    return of(alone)


def _in_order(app: Sphinx, page: str) -> list[str]:
    below = app.env.toctree_includes.get(page, [])
    return [each for child in below for each in (child, *_in_order(app, child))]


def _first(doctree: nodes.Node) -> nodes.paragraph | None:
    return next((each for each in doctree.findall(nodes.paragraph) if _own(each)), None)


def _own(paragraph: nodes.paragraph) -> bool:
    """Return whether a paragraph is regular prose, not part of a table, list or box."""
    return isinstance(paragraph.parent, nodes.section | nodes.document)
