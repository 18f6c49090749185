"""What is taken over into a page is what was printed, and no line more than must be."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from documented import accept, match
from documented.keeper import Keeper
from documented.pages import Site, build
from documented.server import Server
from documented.shell import Shell
from documented.transcript import NotAsShown, carry_out, compare
from hypothesis import given
from hypothesis import strategies as st

OLD, NEW = "20250101T000000Z", "20260202T000000Z"
CONFIG = """
extensions = ["myst_parser", "tljh_runbook.guide.sphinx_ext"]
myst_enable_extensions = ["colon_fence"]
suppress_warnings = ["step.missing"]
"""


@pytest.mark.parametrize(
    ("expected", "printed", "taken"),
    [
        (["one", "two"], ["one", "three"], ["one", "three"]),
        (["one"], ["one", "two"], ["one", "two"]),
        (["one", "two"], ["two"], ["two"]),
        ([], ["one"], ["one"]),
        (["one"], [], []),
        (["...", "last 1"], ["a", "b", "last 2"], ["...", "last 2"]),
        (["first 1", "..."], ["first 2", "a", "b"], ["first 2", "..."]),
        (["a", "...", "z", "y"], ["a", "b", "z", "x"], ["a", "...", "z", "x"]),
        (["plugin <count> 5 MB"], ["plugin 731 6 MB"], ["plugin <count> 6 MB"]),
        (["took 3.2 s, 5 MB"], ["took 9.9 s, 6 MB"], ["took 3.2 s, 6 MB"]),
        ([f"made {OLD}, 1"], [f"made {NEW}, 2"], [f"made {OLD}, 2"]),
        ([f"made {OLD}", f"is {OLD}"], [f"made {NEW}", "is none"], [f"made {OLD}", "is none"]),
    ],
)
def test_what_is_taken_over(expected: list[str], printed: list[str], taken: list[str]) -> None:
    assert accept.taken_over(expected, printed, {}) == taken


def test_a_name_that_the_page_has_is_kept() -> None:
    names = {OLD: NEW}
    assert accept.taken_over(["kept: none"], [f"kept: {NEW}"], names) == [f"kept: {OLD}"]


def test_a_name_for_two_things_becomes_two() -> None:
    lines = accept.taken_over([f"a {OLD}", f"b {OLD}"], [f"a {OLD}", f"b {NEW}"], {})
    assert lines == [f"a {OLD}", f"b {NEW}"]


words = st.lists(st.sampled_from(["a", "b", "a b", f"x {OLD}", f"x {NEW}", "1 s", "2 s", "..."]))


@given(words, words.map(lambda lines: [line for line in lines if line != "..."]))
def test_what_is_taken_over_fits(expected: list[str], printed: list[str]) -> None:
    assert match.first_difference(accept.taken_over(expected, printed, {}), printed) is None


@given(words.map(lambda lines: [line for line in lines if line != "..."]))
def test_nothing_is_taken_over_where_all_fits(printed: list[str]) -> None:
    assert accept.taken_over(printed, printed, {}) == printed


Accepted = Callable[[str], str]


@pytest.fixture
def accepted(tmp_path: Path) -> Iterator[Accepted]:
    """Carry a page out, accept what is printed, and return the page."""
    shell = Shell(tmp_path, dict(os.environ))
    source = tmp_path / "pages"
    source.mkdir()
    (source / "conf.py").write_text(CONFIG)
    server = Server(shell, tmp_path / "checkout")

    def run(page: str) -> str:
        (source / "index.md").write_text(page)
        site = build(source, source, tmp_path / "out", runbook_evidence_required=True)
        keeper = Keeper(site, accepts=True)
        for block in site.blocks():
            done = carry_out(block, server.run)
            new, done = keeper.accept(block, done, server.names)
            compare(new, done, server.names)
            keeper.keep(new, 0.1, server)
        assert keeper.unproven() == []
        keeper.finish()
        _holds(build(source, source, tmp_path / "out", runbook_evidence_required=True))
        return (source / "index.md").read_text()

    yield run
    shell.close()


def _holds(site: Site) -> None:
    """What was accepted is on record as it stands on the page now."""
    assert "evidence" not in site.warnings


PAGE = """# Page

Text.

```console
$ echo one
two
$ echo same
same
```

1. In a list:

   ```console
   $ printf 'a\\n  b\\n'
   $ echo c
   d
   e
   ```

Last.
"""


def test_a_page_after_it(accepted: Accepted) -> None:
    assert accepted(PAGE) == PAGE.replace("two\n", "one\n").replace(
        "   $ echo c\n   d\n   e\n", "   a\n     b\n   $ echo c\n   c\n"
    )


def test_a_page_that_holds_stays(accepted: Accepted) -> None:
    page = "# Page\n\n```console\n$ echo one\none\n```\n"
    assert accepted(page) == page


def test_a_stated_exit_status_stays(accepted: Accepted) -> None:
    page = "# Page\n\n```console\n$ echo one; (exit 3)\ntwo\n[3]\n```\n"
    assert accepted(page) == page.replace("two", "one")


def test_a_failure_that_is_not_stated_is_not_accepted(accepted: Accepted) -> None:
    with pytest.raises(NotAsShown, match="exit status 3"):
        accepted("# Page\n\n```console\n$ echo one; (exit 3)\ntwo\n```\n")
