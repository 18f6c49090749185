"""Every documented example does what its page shows."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest
from documented.keeper import PRINTED, Keeper, print_to
from documented.pages import Block, Site
from documented.server import REPOSITORY, Server
from documented.transcript import Done, NotAsShown, carry_out, compare
from docutils import nodes

GUIDE = ("upgrade", "how-to/")
PYTHON = {"python", "python3", "py", "pycon", "pycon3"}
# Languages in which a transcript would escape the tests.
OTHER_SHELLS = {"shell-session", "bash-session", "shellsession", "doscon"}


@pytest.mark.docs
@pytest.mark.long
def test_transcript(page: Callable[[], Server], block: Block, keeper: Keeper) -> None:
    """What the commands of the block print is what the page shows."""
    if block.reason:
        pytest.skip(block.reason)
    server = page()
    began = time.monotonic()
    done = carry_out(block, server.run)
    took = time.monotonic() - began
    if keeper.accepts:
        block, done = keeper.accept(block, done, server.names)
    print_to(REPOSITORY / PRINTED, block, done)
    if differs := _difference(server, block, done):
        pytest.fail(differs, pytrace=False)
    keeper.keep(block, took, server)


def _difference(server: Server, block: Block, done: list[Done]) -> str:
    try:
        compare(block, done, server.names)
    except NotAsShown as error:
        return str(error)
    return ""


def test_every_block_is_a_test(collected: int, site: Site) -> None:
    """No block gets lost between the pages and the tests."""
    on_server = sum(each.on_server for each in site.blocks())
    written = sum(
        node.get("language") == "console"
        for page in site.pages
        for node in site.doctree(page).findall(nodes.Element)
    )
    assert collected + on_server == written > 0


def test_every_block_has_evidence(keeper: Keeper) -> None:
    """Whatever a page shows has been carried out, as it is shown, and that is on record."""
    assert keeper.unproven() == []


def test_the_guide_shows_nothing_that_is_not_executed(site: Site) -> None:
    """Upgrading and the how-tos are carried out whole."""
    left_out = [each.name for each in site.blocks() if each.reason]
    assert [name for name in left_out if name.startswith(GUIDE)] == []


def test_no_transcript_in_another_language(site: Site) -> None:
    """A transcript in another language would never be carried out."""
    assert [name for name, node in _literals(site) if _hidden_transcript(node)] == []


def test_no_python_that_is_never_run(site: Site) -> None:
    """A plain python fence is not run by sphinx.ext.doctest: it must be a {doctest}."""
    assert [name for name, node in _literals(site) if _unrun_python(node)] == []


def _literals(site: Site) -> Iterator[tuple[str, nodes.literal_block]]:
    for page in site.pages:
        for node in site.literals(page):
            yield f"{page}:{node.line}", node


def _hidden_transcript(node: nodes.literal_block) -> bool:
    language = node.get("language")
    prompts = any(line.startswith("$ ") for line in node.astext().splitlines())
    return language in OTHER_SHELLS or (prompts and language != "console")


def _unrun_python(node: nodes.literal_block) -> bool:
    return node.get("language") in PYTHON and "testnodetype" not in node
