"""The final changes to each page, after Sphinx and its theme have built its context."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from docutils import nodes
    from sphinx.application import Sphinx

FILLABLE = re.compile(
    r"hub\.example\.org|\bubuntu@|<span[^>]*> </span>-i<span[^>]*> </span>hosts\b"
)
MARK = ("doctools.js", "sphinx_highlight.js")
COPY = ("clipboard.min.js", "copybutton.js")
STYLE = ("copybutton.css",)


def finish(
    app: Sphinx,
    pagename: str,
    templatename: str,  # noqa: ARG001 the signature is Sphinx's
    context: dict[str, Any],
    doctree: nodes.document | None,  # noqa: ARG001
) -> None:
    """Drop the copy button from pages without code; load my-server.js on pages that name a server.

    Scripts that only matter once the reader interacts are loaded by later.js; the search page needs
    some of them at once.
    """
    body = context.get("body", "")
    if FILLABLE.search(body):
        context["fillable"] = True
        app.add_js_file("my-server.js", loading_method="defer")
    copies = "<pre>" in body
    if not copies:
        _leave_out(context, "css_files", STYLE)
    left = COPY if pagename == "search" else MARK + COPY
    _leave_out(context, "script_files", left)
    told: dict[str, Any] = {"data-files": " ".join(each for each in left if copies or each in MARK)}
    if told["data-files"]:
        app.add_js_file("later.js", **told)


def _leave_out(context: dict[str, Any], kind: str, names: tuple[str, ...]) -> None:
    files = context[kind]  # in place: Sphinx adds to this list, and resets it after each page
    files[:] = [each for each in files if not str(getattr(each, "filename", each)).endswith(names)]
