"""The version ranges of JupyterHub and its components that a TLJH release requires.

TLJH's installer installs the newest version in each range every time it runs.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from packaging.requirements import InvalidRequirement
from packaging.requirements import Requirement as Line
from packaging.specifiers import SpecifierSet

from tljh_runbook.hub.core import files
from tljh_runbook.hub.core.layout import Hub
from tljh_runbook.hub.core.settings.requirements import TLJH_NAME, canonical
from tljh_runbook.hub.versions import upstream, versions
from tljh_runbook.hub.versions.upstream import Unknown

FILE = "tljh/requirements-hub-env.txt"
# JupyterHub, its authenticators, spawners and proxy; not their dependencies.
PARTS = re.compile("jupyterhub|authenticator|spawner|proxy")

Ranges = dict[str, SpecifierSet]


def of_installed(hub: Hub) -> Ranges:
    """Return the ranges that the installed TLJH requires, by package. Raises `Unknown`."""
    for folder in versions.site_packages(hub):
        if (folder / FILE).is_file():
            lines = files.read(folder / FILE).decode(errors="replace").splitlines()
            return _ranges([*lines, *versions.requires(hub, TLJH_NAME)])
    raise Unknown(f"the installed TLJH has no {Path(FILE).name}")


def of_release(address: str, ref: str) -> Ranges:
    """Return the ranges that TLJH requires at a tag or commit of a repository. Raises `Unknown`."""
    return _ranges(upstream.file(address, ref, FILE).splitlines())


def newest(hub: Hub, ranges: Mapping[str, SpecifierSet]) -> dict[str, str]:
    """Return the newest version in each range; exact ones need no query to the package index.

    Raises `Unknown`.
    """
    found = {name: version for name, each in ranges.items() if (version := _exact(each))}
    asked = [f"{name}{each}" for name, each in ranges.items() if name not in found]
    return found | (upstream.newest(hub, asked) if asked else {})


def _ranges(lines: Iterable[str]) -> Ranges:
    parsed = (_line(text) for text in lines)
    return {
        canonical(each.name): each.specifier
        for each in parsed
        if each and PARTS.search(canonical(each.name)) and _applies(each)
    }


def _line(text: str) -> Line | None:
    """Return one requirement; None for comments, and for lines with pip options."""
    try:
        return Line(text.partition("#")[0])
    except InvalidRequirement:
        return None


def _applies(line: Line) -> bool:
    # Extras are only installed on request, and nothing requests them here.
    return line.marker is None or "extra" not in str(line.marker)


def _exact(specifiers: SpecifierSet) -> str:
    """Return the version that a range pins, or ''."""
    pins = [each.version for each in specifiers if each.operator in {"==", "==="}]
    return pins[0] if pins and not pins[0].endswith("*") else ""
