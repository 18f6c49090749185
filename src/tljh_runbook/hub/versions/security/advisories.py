"""The list of advisories: the one that ships with this tool, or a newer one that was fetched.

A list is a JSON object: ``as_of`` (a date; later advisories are not included), ``packages``
(optional: the names that were looked up) and ``advisories`` (OSV documents).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date, datetime, timezone
from functools import cache
from importlib import resources
from pathlib import Path

from packaging.utils import canonicalize_name

from tljh_runbook.errors import AdvisoriesUnusable
from tljh_runbook.hub.core import files
from tljh_runbook.hub.core.layout import Hub
from tljh_runbook.hub.versions.security import osv
from tljh_runbook.hub.versions.security.osv import Advisory

NAME = "advisories.json"
LIMIT = 8 << 20  # maximum bytes of a list
MOST = 20_000  # maximum advisories in a list
OLD = 180  # days after which "no known vulnerability" is no longer meaningful
REFRESH = "Fetch a newer list: tljh-runbook security refresh"


@dataclass(frozen=True)
class Advisories:
    """A list of known vulnerabilities; ``packages`` are names normalized as in PEP 503."""

    as_of: date
    packages: frozenset[str]
    known: tuple[Advisory, ...]

    def age(self, today: date | None = None) -> int:
        """Return the age of the list in days; 0 if the clock is behind it."""
        return max(0, ((today or datetime.now(timezone.utc).date()) - self.as_of).days)

    @property
    def old(self) -> bool:
        return self.age() > OLD


def load(hub: Hub) -> Advisories:
    """Return the fetched list if it is valid and newer, otherwise the shipped one."""
    try:
        fetched = parse(files.read(file(hub)))
    except (OSError, AdvisoriesUnusable):
        return shipped()
    return max(shipped(), fetched, key=lambda each: each.as_of)


def file(hub: Hub) -> Path:
    """Return the path of the fetched list."""
    return hub.work / NAME


@cache
def shipped() -> Advisories:
    """Return the list that ships with this tool."""
    return parse(resources.files(__package__).joinpath(NAME).read_bytes())


def parse(data: bytes) -> Advisories:
    """Return the list in ``data``. Raises `AdvisoriesUnusable`."""
    if len(data) > LIMIT:
        raise unusable(f"it has more than {LIMIT >> 20} MB")
    try:
        found = json.loads(data)
        if len(found["advisories"]) > MOST:
            raise unusable(f"it has more than {MOST} entries")
        documents = [osv.parse(each) for each in found["advisories"]]
        return Advisories(
            as_of=date.fromisoformat(found["as_of"]),
            packages=frozenset(map(canonicalize_name, found.get("packages", []))),
            known=tuple(each for each in documents if each),
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise unusable("it is not a list of OSV advisories") from error


def unusable(why: str) -> AdvisoriesUnusable:
    """Return the error for a list that cannot be used."""
    return AdvisoriesUnusable(
        f"The list of advisories cannot be used: {why}. The previous list stays in use.",
        hint="Check security.advisories in the settings file, and try again later.",
    )
