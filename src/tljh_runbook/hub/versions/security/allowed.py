"""The versions of a package that the other packages in the hub's environment allow."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from tljh_runbook.hub.core.layout import Hub
from tljh_runbook.hub.core.settings.requirements import TLJH_NAME
from tljh_runbook.hub.versions import versions
from tljh_runbook.hub.versions.ranges import PARTS

# Installed by TLJH's installer; these are not dependencies of the package itself.
TLJH_RANGES = "tljh/requirements-hub-env.txt"


@dataclass(frozen=True)
class Allowed:
    """The requirements on each package, by name: which package has them, and what they are."""

    asked: dict[str, list[tuple[str, Requirement]]]

    def against(self, name: str, version: Version) -> list[str]:
        """Return the packages that do not allow a version of a package."""
        return sorted(
            {
                who
                for who, requirement in self.asked.get(name, [])
                if not requirement.specifier.contains(version, prereleases=True)
            }
        )


def of(hub: Hub) -> Allowed:
    """Read the requirements from the metadata of the installed packages, and TLJH's ranges."""
    asked: dict[str, list[tuple[str, Requirement]]] = defaultdict(list)
    folders = versions.site_packages(hub)
    python = versions.python(hub)
    found = versions.found(folders)
    for package, item in found:
        for line in item.metadata.get_all("Requires-Dist") or []:
            _add(asked, package.name, line, python)
    # Without TLJH's ranges it is unknown which JupyterHub it supports, so pin the current one.
    held = (f"{each.name}=={each.version}" for each, _ in found if PARTS.search(each.name))
    for line in list(_tljh_ranges(folders)) or held:
        _add(asked, TLJH_NAME, line, python)
    return Allowed(dict(asked))


def _add(asked: dict[str, list[tuple[str, Requirement]]], who: str, line: str, python: str) -> None:
    try:
        requirement = Requirement(line)
        if _applies(requirement, python):
            asked[canonicalize_name(requirement.name)].append((who, requirement))
    except (InvalidRequirement, ValueError):
        return  # pip cannot read it either


def _applies(requirement: Requirement, python: str) -> bool:
    """Return whether a requirement applies to the hub's Python, without extras."""
    if requirement.marker is None:
        return True
    number = ".".join(python.split(".")[:2])
    known = {"python_version": number, "python_full_version": python} if number else {}
    return requirement.marker.evaluate({"extra": "", **known})


def _tljh_ranges(folders: Iterable[Path]) -> Iterator[str]:
    """Yield the requirements of TLJH's installer, without comments and pip options."""
    for folder in folders:
        path = folder / TLJH_RANGES
        if path.is_file():
            for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
                yield line.partition("#")[0].partition(" --")[0].strip()
            return
