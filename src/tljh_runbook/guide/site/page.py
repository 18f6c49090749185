"""The last touch to each page, after Sphinx and its theme have made the parts."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from docutils import nodes
    from sphinx.application import Sphinx

FILLABLE = re.compile(
    r"hub\.example\.org|\bubuntu@|<span[^>]*> </span>-i<span[^>]*> </span>hosts\b"
)
COPY = ("clipboard.min.js", "copybutton.js", "copybutton.css")


def finish(
    app: Sphinx,
    pagename: str,  # noqa: ARG001 the signature is Sphinx's
    templatename: str,  # noqa: ARG001
    context: dict[str, Any],
    doctree: nodes.document | None,  # noqa: ARG001
) -> None:
    """Leave out what copies code where there is none; fill in servers where some are named."""
    body = context.get("body", "")
    if FILLABLE.search(body):
        context["fillable"] = True
        app.add_js_file("my-server.js", loading_method="defer")
    if "<pre>" not in body:
        for kind in ("script_files", "css_files"):
            context[kind] = [each for each in context[kind] if not _copies(each)]


def _copies(file: Any) -> bool:
    return str(getattr(file, "filename", file)).endswith(COPY)
