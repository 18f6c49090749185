"""The last touch to each page, after Sphinx and its theme have made the parts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from docutils import nodes
    from sphinx.application import Sphinx

COPY = ("clipboard.min.js", "copybutton.js", "copybutton.css")


def lighten(
    app: Sphinx,  # noqa: ARG001 the signature is Sphinx's
    pagename: str,  # noqa: ARG001
    templatename: str,  # noqa: ARG001
    context: dict[str, Any],
    doctree: nodes.document | None,  # noqa: ARG001
) -> None:
    """Leave out what copies code where there is no code."""
    if "<pre>" not in context.get("body", ""):
        for kind in ("script_files", "css_files"):
            context[kind] = [each for each in context[kind] if not _copies(each)]


def _copies(file: Any) -> bool:
    return str(getattr(file, "filename", file)).endswith(COPY)
