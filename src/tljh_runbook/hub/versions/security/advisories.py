"""The list of advisories: the one that ships with this tool, or a newer one that was fetched.

A list is one JSON object: ``as_of`` (a day: what was published later is not on it), ``packages``
(the names that were looked up, where that is told) and ``advisories`` (OSV documents).
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
LIMIT = 8 << 20  # bytes of a list
MOST = 20_000  # advisories on a list
OLD = 180  # days after which "nothing is known" says nothing any more
REFRESH = "Fetch a newer list: tljh-runbook security refresh"


@dataclass(frozen=True)
class Advisories:
    """A list of known vulnerabilities; ``packages`` as PEP 503 compares them."""

    as_of: date
    packages: frozenset[str]
    known: tuple[Advisory, ...]

    def age(self, today: date | None = None) -> int:
        """Return how many days old the list is; 0 where the clock is behind it."""
        return max(0, ((today or datetime.now(timezone.utc).date()) - self.as_of).days)

    @property
    def old(self) -> bool:
        return self.age() > OLD


def load(hub: Hub) -> Advisories:
    """Return the newer list of the shipped one and of the one that was fetched, if it is sound."""
    try:
        fetched = parse(files.read(file(hub)))
    except (OSError, AdvisoriesUnusable):
        return shipped()
    return max(shipped(), fetched, key=lambda each: each.as_of)


def file(hub: Hub) -> Path:
    """Return where a list that was fetched is stored."""
    return hub.work / NAME


@cache
def shipped() -> Advisories:
    """Return the list that ships with this tool."""
    return parse(resources.files(__package__).joinpath(NAME).read_bytes())


def parse(data: bytes) -> Advisories:
    """Return the list that ``data`` contains. Raises `AdvisoriesUnusable`."""
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
