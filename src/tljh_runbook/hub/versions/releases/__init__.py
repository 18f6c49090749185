"""Known releases and their breaking changes: the data, and a detector for each change."""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib import resources
from typing import Any

from packaging.specifiers import SpecifierSet
from packaging.version import InvalidVersion, Version

from tljh_runbook.hub.core import yaml
from tljh_runbook.hub.core.layout import Hub
from tljh_runbook.hub.core.settings.requirements import TLJH_NAME
from tljh_runbook.hub.versions import versions
from tljh_runbook.hub.versions.releases.detectors import DETECTORS
from tljh_runbook.hub.versions.targets import UNKNOWN, Target, Targets

NEWEST = Version("9999!0")


@dataclass(frozen=True)
class Breaking:
    """A breaking change of a package, introduced in the version ``since``."""

    name: str
    package: str
    since: str
    detector: str
    reason: str
    hint: str
    logins: bool = False
    """Whether it locks users out unless a setting preserves today's access."""
    beside: dict[str, str] = field(default_factory=dict)
    """Version ranges by package: only a hub that matches all after the upgrade is affected."""


@dataclass(frozen=True)
class Concern:
    """A breaking change that affects a hub; ``seen`` says where."""

    change: Breaking
    seen: str


def data() -> dict[str, Any]:
    """Return the content of ``releases.yaml``."""
    file = resources.files(__package__).joinpath("releases.yaml")
    found: dict[str, Any] = yaml.parse(file.read_text(encoding="utf-8"))
    return found


def concerns(hub: Hub, targets: Targets) -> list[Concern]:
    """Return the breaking changes between the installed and target versions that affect a hub.

    A branch has no version until it is installed, so it counts as newer than every known change.
    """
    known = data()
    before, after = _installed(hub, known["tljh"]), _after(targets, known["tljh"])
    found = []
    for change in (Breaking(**each) for each in known["changes"]):
        crossed = _crossed(change, before.get(change.package), after.get(change.package))
        if (
            crossed
            and _beside(change, before | after)
            and (seen := DETECTORS[change.detector](hub))
        ):
            found.append(Concern(change, seen))
    return found


def _crossed(change: Breaking, before: Version | None, after: Version | None) -> bool:
    return bool(before and after and before < Version(change.since) <= after)


def _beside(change: Breaking, after: dict[str, Version]) -> bool:
    return all(
        name in after and SpecifierSet(text).contains(after[name], prereleases=True)
        for name, text in change.beside.items()
    )


def _after(targets: Targets, known: dict[str, Any]) -> dict[str, Version]:
    """Return the versions after the upgrade: the targets, and otherwise TLJH's minimum versions."""
    tljh = targets.tljh
    asks = known.get(tljh.version or tljh.asked) or known[max(known, key=Version)]
    lowest = {name: version for name, text in asks.items() if (version := _lowest(text))}
    resolved = {each.name: version for each in targets if (version := _target(each))}
    return lowest | resolved


def _target(target: Target) -> Version | None:
    if target.why == UNKNOWN:  # it names the installed version, which TLJH's installer may replace
        return None
    if target.version is None and target.commit and target.changes:
        return NEWEST
    return _version(target.version or "")


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
