"""The ways to execute a step, in tabs: with invoke, with Ansible, by hand.

In print, in an EPUB and without styles they appear one below the other.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from docutils import nodes
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx_inline_tabs._impl import TabContainer

from tljh_runbook.guide.inventory import USUAL
from tljh_runbook.guide.steps import Step, Target

if TYPE_CHECKING:
    from sphinx.application import Sphinx

TABBED = ("html", "dirhtml", "singlehtml")


def tabs(step: Step) -> list[nodes.Node]:
    """Return the ways to execute a step, one per tab; the first tab is selected."""
    return [_tab(title, content, first=n == 0) for n, (title, content) in enumerate(_ways(step))]


def _ways(step: Step) -> Iterator[tuple[str, list[nodes.Node]]]:
    yield "invoke", [literal(step.command), _words("It types this for you:"), _plan(step, Target())]
    yield "Ansible", [_words("For the servers in the file hosts:"), _plan(step, SERVERS)]
    if step.by_hand:
        yield "by hand", [literal(step.by_hand)]


SERVERS = Target(inventory=USUAL)


def _tab(title: str, content: list[nodes.Node], *, first: bool) -> TabContainer:
    label = nodes.label("", title)
    box = nodes.container("", *content, is_div=True, classes=["tab-content"])
    tab: TabContainer = TabContainer("", label, box, type="tab", new_set=first)
    return tab


def _plan(step: Step, target: Target) -> nodes.literal_block:
    return literal("\n".join(command.line for command in step.plan(target)))


def literal(text: str, language: str = "sh") -> nodes.literal_block:
    """Return a code block."""
    return nodes.literal_block(text, text, language=language)


def _words(text: str) -> nodes.paragraph:
    return nodes.paragraph("", text)


class Stacked(SphinxPostTransform):
    """The transform that puts the tabs one below the other in formats without tabs."""

    default_priority = 199  # before the tabs are rendered

    def run(self, **kwargs: object) -> None:
        """Replace each tab by its title and content."""
        del kwargs
        if self.app.builder.name in TABBED:
            return
        for tab in list(self.document.findall(TabContainer)):
            label, box = tab.children
            title = nodes.paragraph("", "", nodes.strong("", label.astext()), classes=["tab-title"])
            tab.replace_self([title, *box.children])


def add_styles(app: Sphinx) -> None:
    """Add the stylesheet of the steps to the site."""
    app.config.html_static_path.append(str(Path(__file__).with_name("static")))
