"""A Sphinx extension with the site's additions to its theme."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tljh_runbook.guide.site import checklist, diagrams, page, summary, symptoms, tables

if TYPE_CHECKING:
    from sphinx.application import Sphinx
    from sphinx.util.typing import ExtensionMetadata


def setup(app: Sphinx) -> ExtensionMetadata:
    """Register the directives and event handlers."""
    app.add_directive("checklist", checklist.Checklist)
    app.add_directive("diagram", diagrams.Diagram)
    app.connect("doctree-read", tables.behead)
    app.connect("doctree-read", symptoms.remember)
    app.connect("doctree-read", summary.remember)
    app.connect("html-page-context", page.finish, priority=900)  # after the theme's own handler
    app.connect("html-page-context", summary.add)
    app.connect("build-finished", summary.write_llms)
    app.connect("build-finished", symptoms.write)
    # Raise env_version when the stored page data changes, so that old data is not reused.
    return {"env_version": 1, "parallel_read_safe": True, "parallel_write_safe": True}
