"""The figures of the page *Upgrading* are those of an upgrade that was carried out."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from documented.pages import Site, build

from tljh_runbook.reference import upgrades

ROOT = Path(__file__).parents[2]
REPORT: dict[str, Any] = {
    "at": "20260115T220000Z",
    "seconds": 211.4,
    "changes": [
        ["TLJH", "1.0.0 (59ea6a029893)", "2.0.0 (766efa9e4266)"],
        ["JupyterHub", "4.1.6", "5.5.4"],
        ["limits.cpu", "unset", "2"],
    ],
    "outages": [
        {"name": "hub", "away": 19.44},
        {"name": "service plasma", "away": 25.0},
        {"name": "server of alice", "away": 0.0},
        {"name": "server of bob", "away": 4.66},
    ],
    "forecast": {"size": 1_520_000_000},
}
BACK = {"kind": "end", "code": 0, "report": {"seconds": 33.2}}


def page(folder: Path, text: str) -> Site:
    """Build one page with our directives."""
    (folder / "docs").mkdir(exist_ok=True)
    (folder / "conf.py").write_text('extensions = ["myst_parser", "tljh_runbook.reference"]\n')
    (folder / "docs" / "index.md").write_text(f"# Page\n\n{text}\n")
    return build(folder / "docs", folder, folder / "built")


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    """A folder in which the task's command has kept an upgrade."""
    (tmp_path / "docs").mkdir()
    (tmp_path / "report.json").write_text(json.dumps(REPORT))
    (tmp_path / "back.json").write_text(json.dumps(BACK))
    command = (sys.executable, "-m", "tljh_runbook.reference")
    given = ("report.json", "back.json", "a hub in a cellar")
    subprocess.run([*command, *given], cwd=tmp_path, check=True)
    return tmp_path


def test_a_page_shows_what_was_recorded(recorded: Path) -> None:
    words = ["date", "where", "from", "to", "whole", "servers", "disk", "back"]
    text = "; ".join(f"{{last-upgrade}}`{each}`" for each in words)
    site = page(recorded, f"{text}; {{last-upgrade}}`hub away`; {{last-upgrade}}`servers away`")
    assert site.warnings == ""
    assert site.doctree("index").astext().split("\n\n")[-1].split("; ") == [
        "2026-01-15",
        "a hub in a cellar",
        "TLJH 1.0.0 with JupyterHub 4.1.6",
        "TLJH 2.0.0 with JupyterHub 5.5.4",
        "4 minutes",
        "2",
        "1.5 GB",
        "33 seconds",
        "19 seconds",
        "4.7 seconds",
    ]


def test_a_figure_that_was_not_recorded_is_an_error(recorded: Path) -> None:
    assert "No figure is named 'hub gone'" in page(recorded, "{last-upgrade}`hub gone`").warnings


def test_the_published_record_is_whole() -> None:
    kept = json.loads((ROOT / "docs" / upgrades.FILE).read_text(encoding="utf-8"))
    assert upgrades.shown(kept).keys() == upgrades.shown(upgrades.record(REPORT, BACK, "")).keys()
    assert kept["hub away"] > 0
    assert kept["servers"] > 0


def test_symptoms_are_the_errors_own_texts(tmp_path: Path) -> None:
    site = page(
        tmp_path, "```{error-table}\n```\n\n```{symptoms} SnapshotStale UpgradeRolledBack\n```"
    )
    assert site.warnings == ""
    shown = site.doctree("index").astext().rsplit("SnapshotStale", 1)[1]
    assert "minutes old; an upgrade starts from one of at most" in shown
    assert "hint: Make one now: tljh-runbook backup" in shown
    assert "The upgrade was rolled back, and the hub runs as before" in shown


def test_symptoms_of_no_error_are_refused(tmp_path: Path) -> None:
    assert "There is no error Nonsense" in page(tmp_path, "```{symptoms} Nonsense\n```").warnings
