"""What an upgrade would change on a hub: nothing, when everything is as asked."""

from __future__ import annotations

from dataclasses import dataclass

from tljh_runbook.hub import config, versions
from tljh_runbook.hub.requirements import Requirement
from tljh_runbook.hub.snapshot import Source


@dataclass(frozen=True)
class Change:
    """One thing that is to be changed."""

    name: str
    before: str
    after: str
    requirement: Requirement | None = None


def software(source: Source) -> list[Change]:
    """Return the versions and commits that are not as asked."""
    packages = versions.packages(source.hub)
    found = _tljh(packages.get(versions.TLJH_NAME), source.settings.upgrade.tljh)
    for asked in source.settings.asked():
        package = packages.get(asked.name)
        if package is None or not package.satisfies(asked):
            before = package.label if package else "not installed"
            found.append(Change(asked.name, before, asked.wanted[:12], asked))
    return found


def settings(source: Source) -> list[Change]:
    """Return the settings that are unset and have a default."""
    unset = config.unset(source.hub, source.settings.upgrade.defaults)
    return [Change(name, "unset", str(value)) for name, value in unset.items()]


def _tljh(package: versions.Package | None, asked: str) -> list[Change]:
    if package and (package.version == asked or (package.commit or "-").startswith(asked)):
        return []
    return [Change("TLJH", package.version if package else "not installed", asked)]
