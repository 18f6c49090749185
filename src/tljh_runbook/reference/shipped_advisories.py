"""``python -m tljh_runbook.reference.shipped_advisories ADDRESS`` refreshes the shipped list.

ADDRESS is a clone of pypa/advisory-database, whose files are OSV documents in YAML. Only facts are
taken: names, numbers, dates and versions. Our own sentence of an advisory stays; a new one gets one
that says where to read more.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name

from tljh_runbook import hints
from tljh_runbook.errors import RunbookError
from tljh_runbook.hub.core import yaml
from tljh_runbook.hub.versions.security import advisories

SHIPPED = Path(advisories.__file__).with_name(advisories.NAME)
Document = dict[str, Any]


def main(file: Path = SHIPPED) -> None:
    """Refresh the list, and say of which day it is."""
    parser = argparse.ArgumentParser("shipped_advisories", description=__doc__)
    parser.add_argument("address", metavar="ADDRESS")
    try:
        print(refresh(parser.parse_args().address, file))  # noqa: T201
    except RunbookError as error:
        sys.exit(hints.text(error.message, error.hint))


def refresh(address: str, file: Path) -> str:
    """Merge the database at ``address`` into the list ``file``; return what was done.

    Raises `AdvisoriesUnusable`; the list is left as it was then.
    """
    listed = json.loads(file.read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory() as folder:
        git = ["git", "-C", folder]
        clone = ["clone", "--quiet", "--depth", "1", "--", address, "."]
        if subprocess.run([*git, *clone], check=False).returncode:
            raise advisories.unusable(f"{address} cannot be cloned")
        command = [*git, "log", "-1", "--format=%cs"]
        day = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
        if date.fromisoformat(day) <= date.fromisoformat(listed["as_of"]):
            raise advisories.unusable(f"{address} is of {day}, the list of {listed['as_of']}")
        found = list(_documents(Path(folder), listed["packages"]))
    merged = _merged(listed["advisories"], found)
    text = _text({**listed, "as_of": day, "advisories": merged})
    advisories.parse(text.encode())
    file.write_text(text, encoding="utf-8")
    before, after = len(listed["advisories"]), len(merged)
    return f"{file.name}: as of {day}, {after} advisories ({before} before)"


def _documents(folder: Path, packages: list[str]) -> Iterator[Document]:
    for name in packages:
        for path in sorted((folder / "vulns" / canonicalize_name(name)).glob("*.yaml")):
            yield yaml.parse(path.read_text(encoding="utf-8"))


def _merged(known: list[Document], found: list[Document]) -> list[Document]:
    """Return the known advisories with the versions that were found, and the new ones."""
    by_name = {name: each for each in found for name in _names(each)}
    listed = {name for each in known for name in _names(each)}
    new = [_entry(each) for each in found if not (_names(each) & listed or each.get("withdrawn"))]
    pairs = [(each, [by_name[name] for name in _names(each) & {*by_name}]) for each in known]
    same = [_updated(each, now) for each, now in pairs if not any(n.get("withdrawn") for n in now)]
    return sorted([*same, *new], key=lambda each: (_package(each), each["id"]))


def _names(document: Document) -> set[str]:
    return {document["id"], *document.get("aliases", [])}


def _package(document: Document) -> str:
    return str(document["affected"][0]["package"]["name"])


def _updated(known: Document, found: list[Document]) -> Document:
    if not found:
        return known
    newest = max(found, key=lambda each: str(each["modified"]))
    return {**known, "modified": str(newest["modified"]), "affected": _affected(newest)}


def _entry(found: Document) -> Document:
    summary = f"A vulnerability that is described under {found['id']}."
    return {
        "id": found["id"],
        "aliases": found.get("aliases", []),
        "published": str(found["published"]),
        "modified": str(found["modified"]),
        "summary": summary,
        "affected": _affected(found),
    }


def _affected(found: Document) -> list[Document]:
    """Return which versions are affected: ranges, and a list of versions only where there is none.

    A range of git commits says nothing of a version.
    """
    return [
        {
            "package": {"ecosystem": "PyPI", "name": each["package"]["name"]},
            **({"ranges": ranges} if ranges else {"versions": each.get("versions", [])}),
        }
        for each in found["affected"]
        for ranges in [[r for r in each.get("ranges", []) if r["type"] != "GIT"]]
    ]


def _text(listed: Document) -> str:
    """Return the list as it is stored: one advisory a line."""
    lines = ",\n".join(f"  {json.dumps(each, ensure_ascii=False)}" for each in listed["advisories"])
    packages = json.dumps(listed["packages"])
    head = f'{{\n "as_of": "{listed["as_of"]}",\n "packages": {packages},\n "advisories": [\n'
    return f"{head}{lines}\n ]\n}}\n"


if __name__ == "__main__":
    main()
