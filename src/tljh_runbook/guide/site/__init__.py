"""A Sphinx extension: what the site adds to its theme."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tljh_runbook.guide.site import checklist, diagrams, page, summary, symptoms, tables

if TYPE_CHECKING:
    from sphinx.application import Sphinx
    from sphinx.util.typing import ExtensionMetadata


def setup(app: Sphinx) -> ExtensionMetadata:
    """Register what is made while the site is written."""
    app.add_directive("checklist", checklist.Checklist)
    app.add_directive("diagram", diagrams.Diagram)
    app.connect("doctree-read", tables.behead)
    app.connect("doctree-read", symptoms.remember)
    app.connect("doctree-read", summary.remember)
    app.connect("html-page-context", page.finish, priority=900)  # the theme's own comes first
    app.connect("html-page-context", summary.add)
    app.connect("build-finished", summary.write_llms)
    app.connect("build-finished", symptoms.write)
    # What is remembered of a page: raised where that changes, so that nobody builds on the old.
    return {"env_version": 1, "parallel_read_safe": True, "parallel_write_safe": True}
