"""Releases that we know, and their breaking changes: data, and a detector for each change."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources
from typing import Any

from packaging.specifiers import SpecifierSet
from packaging.version import InvalidVersion, Version

from tljh_runbook.hub import versions, yaml
from tljh_runbook.hub.layout import Hub
from tljh_runbook.hub.releases.detectors import DETECTORS
from tljh_runbook.hub.requirements import TLJH_NAME


@dataclass(frozen=True)
class Breaking:
    """A breaking change of a package, that came with the version ``since``."""

    name: str
    package: str
    since: str
    detector: str
    reason: str
    hint: str
    logins: bool = False
    """Whether it locks users out, so that a setting preserves today's access."""


@dataclass(frozen=True)
class Concern:
    """A breaking change that concerns a hub; ``seen`` says where."""

    change: Breaking
    seen: str


def data() -> dict[str, Any]:
    """Return what ``releases.yaml`` holds."""
    file = resources.files(__package__).joinpath("releases.yaml")
    found: dict[str, Any] = yaml.parse(file.read_text(encoding="utf-8"))
    return found


def concerns(hub: Hub, tljh: str) -> list[Concern]:
    """Return the breaking changes between what is installed and TLJH ``tljh`` that concern a hub.

    Of a version that is not known, such as a branch, the newest known one is taken.
    """
    known = data()
    asks = known["tljh"].get(tljh) or known["tljh"][max(known["tljh"], key=Version)]
    installed = _installed(hub, known["tljh"])
    found = []
    for change in (Breaking(**each) for each in known["changes"]):
        before, after = installed.get(change.package), _lowest(asks.get(change.package, ""))
        crossed = before and after and before < Version(change.since) <= after
        if crossed and (seen := DETECTORS[change.detector](hub)):
            found.append(Concern(change, seen))
    return found


def _installed(hub: Hub, known: dict[str, Any]) -> dict[str, Version]:
    packages = versions.packages(hub)
    texts = {name: each.version for name, each in packages.items()}
    texts["python"] = versions.python(hub)
    tljh = texts.get(TLJH_NAME, "")
    texts["traefik"] = known.get(tljh, {}).get("traefik", "").lstrip("=")
    return {name: version for name, text in texts.items() if (version := _version(text))}


def _lowest(specifier: str) -> Version | None:
    """Return the lowest version that a range allows."""
    lower = [each.version for each in SpecifierSet(specifier) if each.operator in {">=", "=="}]
    return max(map(Version, lower), default=None)


def _version(text: str) -> Version | None:
    try:
        return Version(text)
    except InvalidVersion:
        return None
