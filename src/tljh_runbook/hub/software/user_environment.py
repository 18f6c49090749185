"""The users' conda environment, read from the metadata of conda and pip; nothing is executed."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from importlib.metadata import Distribution
from pathlib import Path
from typing import Any

from tljh_runbook.hub.core import files
from tljh_runbook.hub.versions import versions
from tljh_runbook.hub.versions.versions import Package

_ADDRESS = re.compile(r"(https?|file)://[!-~]+")
_MD5 = re.compile(r"[0-9a-f]{32}")


def conda(environment: Path) -> list[dict[str, Any]]:
    """Return conda's metadata of each package that it installed."""
    found = []
    for path in sorted((environment / "conda-meta").glob("*.json")):
        # Conda may be writing the file, or someone may have nested its JSON too deeply to parse.
        with suppress(OSError, ValueError, RecursionError):
            record = json.loads(files.read(path))
            if isinstance(record, dict) and record.get("name"):
                found.append(record)
    return found


def explicit(records: list[dict[str, Any]]) -> tuple[str, list[str]]:
    """Return a list for ``conda install --file``, and the names that can't be on it."""
    lines, left = [], []
    for record in records:
        address, md5 = str(record.get("url")), str(record.get("md5"))
        if _ADDRESS.fullmatch(address):
            lines.append(f"{address}#{md5}" if _MD5.fullmatch(md5) else address)
        else:
            left.append(str(record["name"]))
    return "".join(f"{line}\n" for line in ["@EXPLICIT", *lines]), left


def by_pip(environment: Path) -> list[Package]:
    """Return the packages that pip installed in addition to conda's."""
    folders = sorted((environment / "lib").glob("python3.*/site-packages"))
    found = {package.name: package for package, item in versions.found(folders) if _is_pips(item)}
    return [package for _, package in sorted(found.items())]


def labels(environment: Path) -> dict[str, str]:
    """Return the versions of all packages by name, with commits if pip knows them."""
    by_conda = {str(each["name"]): str(each.get("version")) for each in conda(environment)}
    return by_conda | {each.name: each.label for each in by_pip(environment)}


def requirements(packages: list[Package]) -> str:
    """Return a list for ``pip install --requirement``; local packages are commented out."""
    lines = (
        f"# from a folder or a file: {package.requirement}"
        if package.local
        else package.requirement
        for package in packages
    )
    return "".join(f"{line}\n" for line in lines)


def _is_pips(item: Distribution) -> bool:
    try:
        return (item.read_text("INSTALLER") or "").strip() != "conda"
    except (OSError, ValueError):
        return True
