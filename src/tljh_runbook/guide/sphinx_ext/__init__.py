"""The Sphinx extension for steps: pages show exactly the steps that are executed.

``{step}`` renders a step as a directive, and refers to one as a role; ``{step-list}`` lists them
all. ``{not-executed}`` says why the documentation's tests do not execute an example;
``{on-server}`` wraps examples that need a booted server. The text below each example says when and
on what system it last ran.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tljh_runbook.guide.sphinx_ext import proof, ways
from tljh_runbook.guide.sphinx_ext.directives import StepDirective, StepList
from tljh_runbook.guide.sphinx_ext.domain import StepDomain
from tljh_runbook.guide.sphinx_ext.examples import NotExecuted, OnServer
from tljh_runbook.guide.sphinx_ext.role import StepRole

if TYPE_CHECKING:
    from sphinx.application import Sphinx
    from sphinx.util.typing import ExtensionMetadata


def setup(app: Sphinx) -> ExtensionMetadata:
    """Register the domain, and its directive and role also under their short names."""
    app.add_domain(StepDomain)
    app.add_directive("step", StepDirective)
    app.add_role("step", StepRole())
    app.add_directive("step-list", StepList)
    app.add_directive("not-executed", NotExecuted)
    app.add_directive("on-server", OnServer)
    app.setup_extension("sphinx_inline_tabs")
    app.add_post_transform(ways.Stacked)
    app.connect("builder-inited", ways.add_styles)
    app.add_css_file("steps.css")
    app.add_config_value("runbook_evidence_required", proof.required(), "env", bool)
    app.connect("doctree-read", proof.show, priority=600)  # after the front matter has been read
    return {"env_version": 3, "parallel_read_safe": True, "parallel_write_safe": True}
