"""The machinery finds what is wrong on a page: each test here is a page that lies."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from documented import match, server
from documented.pages import Site, build
from documented.shell import Shell
from documented.transcript import NotAsShown, execute

Build = Callable[..., Site]

CONFIG = """
extensions = ["myst_parser", "tljh_runbook.guide.sphinx_ext"]
myst_enable_extensions = ["colon_fence"]
suppress_warnings = ["step.missing"]
"""


@pytest.fixture
def page(tmp_path: Path) -> Build:
    """Build a site of one page."""

    def made(*lines: str) -> Site:
        source = tmp_path / "pages"
        source.mkdir()
        (source / "conf.py").write_text(CONFIG)
        (source / "index.md").write_text("# Page\n\n" + "\n".join(lines) + "\n")
        return build(source, source, tmp_path / "out")

    return made


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    opened = Shell(tmp_path, dict(os.environ))
    yield opened
    opened.close()


def carried_out(site: Site, shell: Shell) -> None:
    for block in site.blocks():
        execute(block, shell.run)


def refused(site: Site, shell: Shell, place: str) -> None:
    with pytest.raises(NotAsShown) as error:
        carried_out(site, shell)
    assert f"index.md:{place}:" in str(error.value)


def test_true_page(page: Build, shell: Shell) -> None:
    carried_out(page("```console", "$ echo one; echo two", "one", "two", "```"), shell)


def test_changed_word(page: Build, shell: Shell) -> None:
    refused(page("```console", "$ echo upgrade failed", "upgrade succeeded", "```"), shell, "5")


def test_left_out_line(page: Build, shell: Shell) -> None:
    refused(page("```console", "$ echo one; echo two", "one", "```"), shell, "5")


def test_line_that_was_not_printed(page: Build, shell: Shell) -> None:
    refused(page("```console", "$ echo one", "one", "two", "```"), shell, "6")


def test_line_after_dots(page: Build, shell: Shell) -> None:
    refused(page("```console", "$ seq 5", "1", "...", "6", "```"), shell, "7")


def test_failure_that_is_not_stated(page: Build, shell: Shell) -> None:
    refused(page("```console", "$ false", "```"), shell, "4")


def test_stated_failure(page: Build, shell: Shell) -> None:
    carried_out(page("```console", "$ (exit 10)", "[10]", "```"), shell)


def test_other_failure_than_stated(page: Build, shell: Shell) -> None:
    refused(page("```console", "$ (exit 11)", "[10]", "```"), shell, "4")


def test_stated_failure_that_did_not_happen(page: Build, shell: Shell) -> None:
    refused(page("```console", "$ true", "[1]", "```"), shell, "4")


def test_errors_count_as_output(page: Build, shell: Shell) -> None:
    refused(page("```console", "$ echo oops >&2", "```"), shell, "4")


def test_block_without_a_command(page: Build, shell: Shell) -> None:
    refused(page("```console", "one", "```"), shell, "4")


def test_one_shell_for_a_page(page: Build, shell: Shell) -> None:
    first = ("```console", "$ word=kept", "```")
    carried_out(page(*first, "```console", "$ echo $word", "kept", "```"), shell)


def test_continued_command(page: Build, shell: Shell) -> None:
    carried_out(page("```console", "$ cat <<END", "> text", "> END", "text", "```"), shell)


def test_output_without_a_last_newline(page: Build, shell: Shell) -> None:
    carried_out(page("```console", "$ printf one", "one", "$ echo two", "two", "```"), shell)


def test_command_that_reads_does_not_eat_the_page(page: Build, shell: Shell) -> None:
    carried_out(page("```console", "$ cat", "$ echo next", "next", "```"), shell)


def test_shell_that_ends(page: Build, shell: Shell) -> None:
    refused(page("```console", "$ exit 0", "```"), shell, "4")


def test_block_with_a_name_is_found(page: Build, shell: Shell) -> None:
    refused(page("```console {name=x}", "$ echo one", "two", "```"), shell, "5")


def test_block_of_code_block_is_found(page: Build, shell: Shell) -> None:
    refused(page("```{code-block} console", ":name: x", "", "$ echo one", "two", "```"), shell, "7")


def test_block_in_a_list_is_found(page: Build, shell: Shell) -> None:
    refused(page("1. Do:", "", "   ```console", "   $ echo one", "   two", "   ```"), shell, "7")


def test_block_in_a_box_is_found(page: Build, shell: Shell) -> None:
    refused(page("::::{note}", "```console", "$ echo one", "two", "```", "::::"), shell, "6")


def test_fence_in_an_example_is_not_executed(page: Build) -> None:
    site = page("````md", "```console", "$ false", "```", "````")
    assert site.blocks() == []


def test_block_of_a_step_is_found(page: Build) -> None:
    site = page(":::{step} status", "state   healthy", ":::")
    assert [(each.line, each.text) for each in site.blocks()] == [
        (3, "$ invoke status\nstate   healthy")
    ]


def test_line_of_a_step_that_differs(page: Build) -> None:
    site = page(":::{step} status", "state   healthy", ":::")
    with pytest.raises(NotAsShown, match=r"index\.md:4: "):
        execute(site.blocks()[0], lambda _: (["state   down"], 0))


def test_step_with_a_whole_transcript(page: Build) -> None:
    site = page(":::{step} status", "$ invoke status", "state   healthy", ":::")
    assert [(each.line, each.text) for each in site.blocks()] == [
        (4, "$ invoke status\nstate   healthy")
    ]


def test_block_that_is_not_executed_says_why(page: Build) -> None:
    site = page("::::{not-executed} It needs a server.", "```console", "$ reboot", "```", "::::")
    assert [each.reason for each in site.blocks()] == ["It needs a server."]
    assert "Not executed: It needs a server." in site.doctree("index").astext()


@pytest.mark.parametrize(
    ("expected", "actual"),
    [
        ("Snapshot 20261122T152752Z of", "Snapshot 20250101T000000Z of"),
        ("Snapshot 20261122T152752Z of", "Snapshot 20250101T000000Z-2 of"),
        ("made 2026-11-22T15:27:52Z", "made 2025-01-01T00:00:00Z"),
        ("hub away  12.3 s", "hub away   9.8 s"),
        ("age 2 s  old", "age 3 minutes  old"),
        ("(b02183ee6c0c)", "(0123456789ab)"),
        ("listens on <port>", "listens on 8000"),
        ("login alice / <password>", "login alice / x/Y+z"),
    ],
)
def test_what_may_differ(expected: str, actual: str) -> None:
    assert match.equal(expected, actual)


@pytest.mark.parametrize(
    ("expected", "actual"),
    [
        ("upgrade succeeded", "upgrade failed"),
        ("150 files", "151 files"),
        ("1234567 rows", "7654321 rows"),
        ("JupyterHub 4.1.6", "JupyterHub 5.5.4"),
        ("the facade", "the decade"),
        ("listens on <port>", "listens on"),
        ("listens on <port>", "listens on 80 81"),
        ("a <word>", "a thing"),
        ("took 3 s", "took"),
        ("state.", "stateX"),
    ],
)
def test_what_may_not_differ(expected: str, actual: str) -> None:
    assert not match.equal(expected, actual)


@pytest.mark.parametrize(
    ("expected", "actual", "at"),
    [
        ([], [], None),
        (["..."], [], None),
        (["...", "b", "..."], ["a", "b"], None),
        (["a", "...", "b"], ["a", "b", "x", "b"], None),
        (["a", "...", "c"], ["a", "b"], 2),
        (["a"], [], 0),
        ([], ["a"], 0),
    ],
)
def test_lines_of_dots(expected: list[str], actual: list[str], at: int | None) -> None:
    assert match.first_difference(expected, actual) == at


def test_paths_of_the_server(shell: Shell, tmp_path: Path) -> None:
    opened = server.Server(shell, tmp_path / "checkout", tmp_path / "server")
    command = "cp /opt/tljh/state/x.sqlite /home/alice ./opt/tljh /opt/tljhx /usr/bin"
    root = tmp_path / "server"
    inside = f"cp {root}/opt/tljh/state/x.sqlite {root}/home/alice ./opt/tljh /opt/tljhx /usr/bin"
    assert opened.inside(command) == inside
    assert opened.outside(inside) == command
    assert opened.outside(f"folder {tmp_path}/checkout/x") == f"folder {server.CHECKOUT}/x"


def test_environment_of_a_page() -> None:
    given = {"PATH": "/usr/bin", "NO_COLOR": "1", "INVOKE_RUN_DRY": "1", "HOME": "/root"}
    found = server.environment(given, Path("/box"), "")
    assert found["INVOKE_TLJH_HUB"] == "/box/opt/tljh"
    assert found["HOME"] == "/root"
    assert found["PATH"].endswith("/bin:/usr/bin")
    assert not {"NO_COLOR", "INVOKE_RUN_DRY"} & set(found)
    assert server.environment(given, None, "bare")["PATH"] == "/usr/bin"
