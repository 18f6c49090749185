"""What the advisories say about a hub: which packages are vulnerable, and what fixes them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from packaging.version import InvalidVersion, Version

from tljh_runbook.hub.core.layout import Hub
from tljh_runbook.hub.versions import versions
from tljh_runbook.hub.versions.security import advisories, allowed
from tljh_runbook.hub.versions.security.advisories import Advisories
from tljh_runbook.hub.versions.security.allowed import Allowed
from tljh_runbook.hub.versions.security.osv import Advisory
from tljh_runbook.hub.versions.versions import Package

UP_TO_DATE = "up to date"
UPDATE = "update available"
VULNERABLE = "known vulnerability"
NOT_KNOWN = "not known"
NAMED = 5  # packages to name in one line
ORDER = ("CRITICAL", "HIGH", "MODERATE", "LOW", "")


@dataclass(frozen=True)
class Vulnerable:
    """An installed package with known vulnerabilities.

    ``fix`` is the oldest version without known vulnerabilities that the other packages allow, or
    ''. If there is none, ``beyond`` is the oldest version that would fix it, and ``against`` are
    the packages that do not allow it.
    """

    name: str
    version: str
    advisories: tuple[Advisory, ...]
    fix: str
    beyond: str
    against: tuple[str, ...]

    @property
    def severity(self) -> str:
        """The highest severity of its advisories."""
        return min((each.severity for each in self.advisories), key=_rank)

    @property
    def label(self) -> str:
        return f"{self.name} {self.version}" + (f" → {self.fix}" if self.fix else "")

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "version": self.version,
            "fix": self.fix,
            "beyond": self.beyond,
            "against": list(self.against),
            "severity": self.severity,
            "advisories": [each.to_json() for each in self.advisories],
        }


@dataclass(frozen=True)
class Assessment:
    """What is known about the packages in one hub's environment.

    ``unknown`` are packages with advisories whose version cannot be compared: a commit, or an
    invalid version. ``updates`` are newer releases of TLJH's own packages.
    """

    as_of: str
    age: int
    old: bool
    packages: int
    covered: int
    vulnerable: tuple[Vulnerable, ...]
    unknown: tuple[str, ...]
    updates: tuple[str, ...] = ()

    @property
    def fixable(self) -> list[Vulnerable]:
        return [each for each in self.vulnerable if each.fix]

    @property
    def state(self) -> str:
        if self.vulnerable:
            return VULNERABLE
        if self.old or self.unknown or not self.packages:
            return NOT_KNOWN
        return UPDATE if self.updates else UP_TO_DATE

    @property
    def words(self) -> str:
        """The state in one line, with the packages concerned."""
        if self.vulnerable:
            return f"{VULNERABLE}: {listed([each.label for each in self.vulnerable])}"
        if self.state == NOT_KNOWN:
            return f"{NOT_KNOWN}: {self._why_unknown}"
        if self.state == UPDATE:
            return f"{UPDATE}: {listed(self.updates)}"
        return f"{UP_TO_DATE}, as of {self.as_of}"

    @property
    def _why_unknown(self) -> str:
        if not self.packages:
            return "no package of the hub's environment can be read"
        if self.old:
            return f"the list of advisories is {self.age} days old"
        return f"{listed(self.unknown)} installed from git, without a release to compare"

    def to_json(self) -> dict[str, Any]:
        return {
            "state": self.state,
            "as_of": self.as_of,
            "age": self.age,
            "packages": self.packages,
            "covered": self.covered,
            "vulnerable": [each.to_json() for each in self.vulnerable],
            "unknown": list(self.unknown),
            "updates": list(self.updates),
        }


def of(hub: Hub, known: Advisories | None = None) -> Assessment:
    """Compare the packages in the hub's environment with the list of advisories."""
    known = known or advisories.load(hub)
    installed = versions.packages(hub)
    ranges = allowed.of(hub)
    by_package = _by_package(known)
    judged = {name: _release(installed[name]) for name in sorted(by_package.keys() & installed)}
    vulnerable = (
        _vulnerable(installed[name], version, by_package[name], ranges)
        for name, version in judged.items()
        if version
    )
    return Assessment(
        as_of=known.as_of.isoformat(),
        age=known.age(),
        old=known.old,
        packages=len(installed),
        covered=len(known.packages & set(installed)),
        vulnerable=tuple(sorted((each for each in vulnerable if each), key=_worst)),
        unknown=tuple(name for name, version in judged.items() if version is None),
    )


def listed(names: list[str] | tuple[str, ...]) -> str:
    """Return names in one line, with only a count of those after the first `NAMED`."""
    more = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {more} more" if more > 0 else "")


def _by_package(known: Advisories) -> dict[str, list[Advisory]]:
    found: dict[str, list[Advisory]] = {}
    for each in known.known:
        for name in {affected.name for affected in each.affected}:
            found.setdefault(name, []).append(each)
    return found


def _release(package: Package) -> Version | None:
    """Return the version to compare with advisories; None for a commit or an invalid version."""
    try:
        return None if package.commit else Version(package.version)
    except InvalidVersion:
        return None


def _vulnerable(
    package: Package, version: Version, known: list[Advisory], ranges: Allowed
) -> Vulnerable | None:
    concerned = [each for each in known if _affects(each, package.name, version)]
    if not concerned:
        return None
    sound = _sound(package.name, version, known)
    fix = next((each for each in sound if not ranges.against(package.name, each)), None)
    beyond = None if fix or not sound else sound[0]
    return Vulnerable(
        package.name,
        package.version,
        tuple(sorted(concerned, key=lambda each: (_rank(each.severity), each.id))),
        str(fix or ""),
        str(beyond or ""),
        tuple(ranges.against(package.name, beyond)) if beyond else (),
    )


def _sound(name: str, version: Version, known: list[Advisory]) -> list[Version]:
    """Return the newer versions that advisories name as fixed, and that no advisory affects."""
    fixed = {each for advisory in known for of in advisory.of(name) for each in of.fixed}
    newer = sorted(each for each in fixed if each > version)
    return [each for each in newer if not any(_affects(one, name, each) for one in known)]


def _affects(advisory: Advisory, name: str, version: Version) -> bool:
    return any(each.contains(version) for each in advisory.of(name))


def _rank(severity: str) -> int:
    return ORDER.index(severity) if severity in ORDER else len(ORDER)


def _worst(each: Vulnerable) -> tuple[int, str]:
    return _rank(each.severity), each.name
