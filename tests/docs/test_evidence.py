"""What is on record of an example is for this example as it is, and nothing else."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from documented import server
from documented.keeper import Keeper
from documented.pages import Site, build
from documented.shell import Shell
from documented.transcript import carry_out

from tljh_runbook.guide.sphinx_ext import evidence

CONFIG = """
extensions = ["myst_parser", "tljh_runbook.guide.sphinx_ext"]
myst_enable_extensions = ["colon_fence"]
suppress_warnings = ["step.missing"]
"""
EXAMPLE = ("```console", "$ echo one", "one", "```")
WITHOUT_HUB = ("---", "runbook-sandbox: none", "---")


class Pages:
    """A folder with one page, built as often as is asked."""

    def __init__(self, folder: Path) -> None:
        self.source = folder / "pages"
        self.out = folder / "out"
        self.source.mkdir()
        (self.source / "conf.py").write_text(CONFIG)

    def built(
        self,
        *lines: str,
        required: bool = True,
        fresh: bool = True,
        front: tuple[str, ...] = (),
    ) -> Site:
        if lines:
            (self.source / "index.md").write_text("\n".join([*front, "# Page", "", *lines]) + "\n")
        given = {"runbook_evidence_required": required}
        return build(self.source, self.source, self.out, fresh=fresh, **given)

    @property
    def record(self) -> Path:
        return evidence.file(self.source, "index")


@pytest.fixture
def pages(tmp_path: Path) -> Pages:
    return Pages(tmp_path)


@pytest.fixture
def here(tmp_path: Path) -> Iterator[server.Server]:
    """A server without a hub."""
    shell = Shell(tmp_path, dict(os.environ))
    yield server.Server(shell, tmp_path / "checkout")
    shell.close()


def keep(site: Site, here: server.Server, *, again: bool = False, seconds: float = 0.8) -> Keeper:
    keeper = Keeper(site, again=again)
    for block in site.blocks():
        carry_out(block, here.run)
        keeper.keep(block, seconds, here)
    return keeper


def test_a_block_without_a_record_is_warned_of(pages: Pages) -> None:
    said = pages.built(*EXAMPLE).warnings
    assert "index.md:3: WARNING: No evidence that this ran as it is shown: '$ echo one'." in said
    assert "[step.evidence]" in said


def test_a_build_for_oneself_does_not_fail_of_it(pages: Pages) -> None:
    assert pages.built(*EXAMPLE, required=False).warnings == ""


@pytest.mark.parametrize("name", ["CI", "READTHEDOCS"])
def test_pages_for_others_need_evidence(
    pages: Pages, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "true")
    (pages.source / "index.md").write_text("\n".join(["# Page", *EXAMPLE]))
    assert "No evidence" in build(pages.source, pages.source, pages.out).warnings


def test_a_kept_record_is_shown(pages: Pages, here: server.Server) -> None:
    keep(pages.built(*EXAMPLE, front=WITHOUT_HUB), here)
    site = pages.built()
    assert site.warnings == ""
    [record] = evidence.read(pages.record).values()
    assert record.command == "echo one"
    assert f"on a machine without a hub: {record.system}, {record.date}." in record.text
    assert record.text in site.doctree("index").astext()


def test_another_output_has_no_record(pages: Pages, here: server.Server) -> None:
    keep(pages.built(*EXAMPLE), here)
    assert "No evidence" in pages.built("```console", "$ echo one", "two", "```").warnings


def test_another_place_has_no_record(pages: Pages, here: server.Server) -> None:
    keep(pages.built(*EXAMPLE), here)
    assert "No evidence" in pages.built(*EXAMPLE, front=WITHOUT_HUB).warnings


def test_the_next_build_warns_again(pages: Pages) -> None:
    pages.built(*EXAMPLE)
    assert "No evidence" in pages.built(fresh=False).warnings


def test_a_new_record_is_shown_by_the_next_build(pages: Pages, here: server.Server) -> None:
    keep(pages.built(*EXAMPLE), here)
    assert pages.built(fresh=False).warnings == ""


def test_a_record_that_is_taken_away_is_missed(pages: Pages, here: server.Server) -> None:
    keep(pages.built(*EXAMPLE), here)
    pages.built()
    pages.record.write_text("{}")
    assert "No evidence" in pages.built(fresh=False).warnings


def test_a_block_that_is_not_executed_needs_none(pages: Pages) -> None:
    assert pages.built("::::{not-executed} It reboots.", *EXAMPLE, "::::").warnings == ""


def test_a_block_for_a_booted_server_has_a_place_of_its_own(pages: Pages) -> None:
    [block] = pages.built("::::{on-server}", *EXAMPLE, "::::").blocks()
    assert block.on_server
    assert block.key == evidence.key("server", "$ echo one\none")


def test_a_record_stays_as_it_is(pages: Pages, here: server.Server) -> None:
    keep(pages.built(*EXAMPLE), here)
    before = pages.record.read_bytes()
    keep(pages.built(), here, seconds=99)
    assert pages.record.read_bytes() == before


def test_a_record_is_taken_anew_when_that_is_asked(pages: Pages, here: server.Server) -> None:
    keep(pages.built(*EXAMPLE), here)
    keep(pages.built(), here, again=True, seconds=99)
    [record] = evidence.read(pages.record).values()
    assert record.seconds == 99


def test_records_stand_in_the_order_of_the_page_without_old_ones(
    pages: Pages, here: server.Server
) -> None:
    last = ("```console", "$ echo last", "last", "```")
    keep(pages.built(*EXAMPLE, *last), here)
    keep(pages.built("```console", "$ echo first", "first", "```", *last), here)
    found = [each.command for each in evidence.read(pages.record).values()]
    assert found == ["echo first", "echo last"]
    assert len(pages.record.read_text().splitlines()) == len(found) + 2


def test_what_has_no_evidence_is_counted(pages: Pages, here: server.Server) -> None:
    keeper = Keeper(pages.built(*EXAMPLE))
    assert (keeper.count(), len(keeper.unproven())) == (0, 1)
    assert (keep(pages.built(), here).count(), keeper.unproven()) == (1, [])


def test_in_a_sandbox_its_version_is_on_record(pages: Pages, tmp_path: Path) -> None:
    packages = tmp_path / "opt/tljh/hub/lib/python3.11/site-packages"
    (packages / "the_littlest_jupyterhub-2.0.0.dist-info").mkdir(parents=True)
    shell = Shell(tmp_path, dict(os.environ))
    keep(pages.built(*EXAMPLE), server.Server(shell, tmp_path / "checkout", tmp_path))
    shell.close()
    [record] = evidence.read(pages.record).values()
    fakes = "in a sandbox, with fakes of TLJH's installer and Plasma"
    assert record.text.startswith(f"Ran in 0.8 s {fakes}: TLJH 2.0.0, ")


def test_long_runs_are_told_in_minutes() -> None:
    record = evidence.Record("x", "shell", 200.4, "2026-11-29", "Debian 12")
    assert record.text.startswith("Ran in 3 minutes ")


def test_the_place_is_part_of_the_key() -> None:
    assert evidence.key("shell", "$ x") != evidence.key("sandbox", "$ x")
