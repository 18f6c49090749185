"""The shipped list of advisories is refreshed from a clone of PyPA's database."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tljh_runbook.errors import AdvisoriesUnusable
from tljh_runbook.hub.versions.security import advisories
from tljh_runbook.reference import shipped_advisories

ENTRY = """\
id: {id}
aliases: {aliases}
details: Words of somebody else.
affected:
- package: {{name: {package}, ecosystem: PyPI}}
  ranges:
  - {{type: GIT, repo: "https://example.org", events: [{{introduced: "0"}}]}}
  - {{type: ECOSYSTEM, events: [{{introduced: "0"}}, {{fixed: "{fixed}"}}]}}
  versions: ["0.1"]
modified: "2027-01-02T00:00:00Z"
published: "2027-01-01T00:00:00Z"
{more}
"""


@pytest.fixture
def listed(tmp_path: Path) -> Path:
    return Path(shutil.copy(shipped_advisories.SHIPPED, tmp_path / "list.json"))


def database(folder: Path, day: str, **entries: dict[str, str]) -> str:
    """Commit a database of these entries on a day; return its address."""
    for number, each in enumerate(entries.values()):
        place = folder / "vulns" / each["package"] / f"PYSEC-{number}.yaml"
        place.parent.mkdir(parents=True, exist_ok=True)
        values = {"aliases": "[]", "fixed": "9", "more": "", "id": f"PYSEC-{number}"} | each
        place.write_text(ENTRY.format(**values))
    who = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
    stamp = {"GIT_COMMITTER_DATE": f"{day}T12:00:00Z", "GIT_CONFIG_GLOBAL": "/dev/null"}
    for words in (["init", "-q"], ["add", "."], [*who, "commit", "-qm", "x"]):
        subprocess.run(["git", "-C", folder, *words], check=True, env=stamp)
    return f"file://{folder}"


def test_a_newer_database_is_merged_into_the_list(tmp_path: Path, listed: Path) -> None:
    before = json.loads(listed.read_text())
    known, withdrawn = before["advisories"][0], before["advisories"][1]
    address = database(
        tmp_path / "database",
        "2027-01-03",
        new={"package": "tornado", "fixed": "99.1"},
        known={"package": "aiohttp", "aliases": f"[{known['id']}]", "fixed": "98"},
        gone={
            "package": "aiohttp",
            "aliases": f"[{withdrawn['id']}]",
            "more": 'withdrawn: "2027-01-02T00:00:00Z"',
        },
        other={"package": "nobody-asked"},
    )
    told = shipped_advisories.refresh(address, listed)
    assert told.startswith("list.json: as of 2027-01-03, ")
    found = advisories.parse(listed.read_bytes())
    by_id = {each.id: each for each in found.known}
    assert {*by_id} == {each["id"] for each in before["advisories"]} - {withdrawn["id"]} | {
        "PYSEC-0"
    }
    assert by_id[known["id"]].summary == known["summary"]
    assert [str(each) for each in by_id[known["id"]].of("aiohttp")[0].fixed] == ["98"]
    assert [str(each) for each in by_id["PYSEC-0"].of("tornado")[0].fixed] == ["99.1"]
    assert "somebody else" not in listed.read_text()


@pytest.mark.parametrize("day", ["2024-10-10", "none"])
def test_an_older_database_changes_nothing(day: str, tmp_path: Path, listed: Path) -> None:
    before = listed.read_bytes()
    folder = tmp_path / "database"
    address = database(folder, day, a={"package": "tornado"}) if day != "none" else str(folder)
    with pytest.raises(AdvisoriesUnusable, match=r"is of 2024-10-10|cannot be cloned"):
        shipped_advisories.refresh(address, listed)
    assert listed.read_bytes() == before


def test_what_is_stored_is_as_the_task_writes_it(listed: Path) -> None:
    """So that a refresh changes only the lines of what has changed."""
    text = listed.read_text()
    assert shipped_advisories._text(json.loads(text)) == text
