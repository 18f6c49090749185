"""The Sphinx extension, on small sites of their own."""

from __future__ import annotations

import re
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from tljh_runbook.guide import backup, catalog

CONFIG = """
extensions = ["myst_parser", "tljh_runbook.guide.sphinx_ext"]
myst_enable_extensions = ["colon_fence"]
html_theme = "basic"
nitpicky = True
"""
# A site on which every step has its place.
# What the steps' prose points at on other pages.
POINTED_AT = (
    "(emergency-copy)=\n(setting-save-images)=\n(setting-upgrade-confirm-within)=\nElsewhere.\n\n"
)
STEPS = POINTED_AT + "\n".join(f"```{{step}} {step.name}\n```" for step in catalog.every())
QUICK = ("-b", "dummy")  # for its warnings alone
INDEX = "# Index\n\n```{toctree}\n:glob:\n*\n```\n"

Build = Callable[..., tuple[Path, str]]


@pytest.fixture
def site(tmp_path: Path) -> Build:
    """Build pages, given by name; return the built folder and the warnings."""

    def made(*options: str, config: str = CONFIG, **pages: str) -> tuple[Path, str]:
        (tmp_path / "conf.py").write_text(config)
        for name, text in {"index": INDEX, **pages}.items():
            (tmp_path / f"{name}.md").write_text(text if name == "index" else f"# {name}\n\n{text}")
        done = subprocess.run(
            [sys.executable, "-m", "sphinx", "-q", *options, ".", "built"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        return tmp_path / "built", done.stderr

    return made


def steps_of(built: Path) -> dict[str, str]:
    """Return where the inventory says that each step is."""
    packed = (built / "objects.inv").read_bytes().split(b"\n", 4)[4]
    rows = [row.split(" ", 4) for row in zlib.decompress(packed).decode().splitlines()]
    return {
        name: place.replace("$", name) for name, kind, _, place, _ in rows if kind == "step:step"
    }


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_whole_site_is_clean(site: Build, jobs: str) -> None:
    others = {f"p{n}": "See {step}`backup` and {step}`the list <snapshots>`." for n in range(12)}
    built, warnings = site("-W", "-n", "-j", jobs, steps=STEPS, **others)
    assert warnings == ""
    found = steps_of(built)
    assert set(found) == {step.name for step in catalog.every()}
    assert found["backup.database"] == "steps.html#step-backup-database"


def test_text_of_references(site: Build) -> None:
    built, _ = site(steps=STEPS, a="{step}`backup`, {step}`the base <backup.database>`")
    html = (built / "a.html").read_text()
    assert re.search(r'href="steps.html#step-backup-all".*?<code.*?invoke</span>', html)
    assert re.search(r'href="steps.html#step-backup-database".*?the base</span>', html)


def test_what_a_step_shows(site: Build) -> None:
    built, _ = site(steps=STEPS)
    html = (built / "steps.html").read_text()
    shown = html.split('id="step-backup-database"')[1].split('id="step-')[0]
    text = re.sub(r"<[^>]+>", "", shown)
    step = catalog.find("backup.database")
    parts = [step.why[:20], "Make a snapshot of the hub", "invoke backup.database"]
    parts += ["tljh-runbook backup database --hub /opt/tljh", "ansible-playbook -i hosts"]
    parts += ["import pathlib, sqlite3", "What it changes"]
    parts += ["How to check", "How to undo", "If it fails"]
    places = [text.index(part) for part in parts]
    assert places == sorted(places)
    assert re.search("<h[1-6]", shown) is None


def test_a_step_that_only_looks_says_so(site: Build) -> None:
    built, _ = site(steps=STEPS)
    shown = (built / "steps.html").read_text().split('id="step-status"')[1].split('id="step-')[0]
    assert "It changes nothing, so there is nothing to undo." in shown


def test_the_ways_are_tabs_in_which_the_first_is_open(site: Build) -> None:
    built, _ = site(steps=STEPS)
    html = (built / "steps.html").read_text()
    sets = re.findall(r'<div class="tab-set.*?(?=<dl)', html, re.DOTALL)
    assert len(sets) == len(catalog.every())
    for step, shown in zip(catalog.every(), sets, strict=True):
        labels = re.findall(r"<label[^>]*>(.*?)</label>", shown)
        assert labels == ["invoke", "Ansible", *(["by hand"] if step.by_hand else [])]
        assert re.findall(r"<input (checked)?", shown)[0] == "checked"
        assert shown.count("checked") == 1
    assert (built / "_static" / "steps.css").exists()


@pytest.mark.parametrize("builder", ["epub", "text"])
def test_where_nobody_can_click_all_ways_are_shown(site: Build, builder: str) -> None:
    config = CONFIG + "\nversion = 'x'\nepub_show_urls = 'no'\n"
    built, _ = site("-b", builder, config=config, steps=STEPS)
    page = (built / f"steps.{'xhtml' if builder == 'epub' else 'txt'}").read_text()
    text = re.sub(r"<[^>]+>", "", page)
    assert "<input" not in page
    assert "tab-content" not in page
    assert text.count("For the servers in the file hosts:") == len(catalog.every())
    assert "import pathlib, sqlite3" in text


def test_index_of_steps(site: Build) -> None:
    built, _ = site(steps=STEPS)
    html = (built / "step-index.html").read_text()
    assert all(f"{step.command}<" in html for step in catalog.every())


def test_list_of_steps(site: Build) -> None:
    built, warnings = site(steps=STEPS, a="```{step-list}\n```")
    html = (built / "a.html").read_text()
    assert warnings == ""
    assert all(f"steps.html#step-{step.name.replace('.', '-')}" in html for step in catalog.every())


def test_step_on_no_page(site: Build) -> None:
    _, warnings = site(*QUICK, a="Nothing here.")
    place = rf"{re.escape(backup.__file__)}:\d+: WARNING: The step backup.database is on no page"
    assert re.search(place, warnings)


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_step_on_two_pages(site: Build, jobs: str) -> None:
    _, warnings = site(*QUICK, "-j", jobs, steps=STEPS, xagain="```{step} status\n```")
    assert "xagain.md:3: WARNING: The step status is shown already in steps." in warnings


@pytest.mark.parametrize("text", ["{step}`nope`", "```{step} nope\n```"])
def test_unknown_step(site: Build, text: str) -> None:
    _, warnings = site(*QUICK, steps=STEPS, a=text)
    said = "a.md:3: WARNING: There is no step called 'nope'. The steps are: setup, backup.all, "
    assert said in warnings


def test_deleted_page_is_forgotten(site: Build, tmp_path: Path) -> None:
    site(steps=STEPS)
    (tmp_path / "steps.md").unlink()
    built, warnings = site(other="Nothing here.")
    assert "The step status is on no page" in warnings
    assert (built / "other.html").exists()


def test_moved_step_is_found_again(site: Build) -> None:
    site(steps=STEPS, a="Nothing yet.")
    built, warnings = site(
        steps=STEPS.replace("```{step} status\n```", ""), a="```{step} status\n```"
    )
    assert warnings == ""
    assert steps_of(built)["status"] == "a.html#step-status"


BAD_STEP = '''
from tljh_runbook.guide import catalog
from tljh_runbook.guide.steps import Run, step

@step(
    "bad",
    "Bad",
    why="Because.",
    changes="All {nonsense}`is` new.",
    check="All {nonsense}`is` well.",
    undo="See {step}`nope`.",
    fails=" ",
)
def bad(target):
    """Do something bad.

    ## A heading

    An {unknown}`role`.
    """
    return [Run(("true", target.hub))]

catalog.every = lambda of=catalog.every: (*of(), bad)
def setup(app): return {"parallel_read_safe": True}
'''


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_warnings_point_at_the_step(site: Build, tmp_path: Path, jobs: str) -> None:
    """What is wrong in a step's prose is wrong in a Python file: there one must look."""
    (tmp_path / "bad.py").write_text(BAD_STEP)
    pages = {f"p{n}": "Text." for n in range(12)}
    config = "import sys; sys.path.insert(0, '.')\n" + CONFIG.replace("[", '["bad", ', 1)
    pages["steps"] = f"{STEPS}\n```{{step}} bad\n```\n"
    _, warnings = site(*QUICK, "-j", jobs, config=config, **pages)
    lines = {int(n) for n in re.findall(r"bad\.py:(\d+): WARNING", warnings)}
    assert "The step bad has no text 'fails'." in warnings
    assert {9, 10, 11, 12, 17, 19} <= lines
    assert "steps.md" not in warnings
