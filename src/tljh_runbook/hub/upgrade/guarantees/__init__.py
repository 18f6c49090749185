"""Guarantees: what an upgrade must not break, measured before and after.

Only what the upgrade did breaks one. What users and the hub do by themselves meanwhile is told, and
held against nobody; so the moments count at which something is looked at:

- before: just before the hub is stopped, and its databases once more when it is stopped;
- first look: as soon as the new hub answers, before anybody can have asked it for a change;
- after: when everything is there again. What has changed since the first look is others' doing.

A module of this package is a guarantee when it has a ``GUARANTEE``.  What one measures is plain
data (JSON), so that it can be kept with the snapshot and measured again the next morning.
"""

from __future__ import annotations

import importlib
import pkgutil
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from tljh_runbook.errors import NoSpace

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from tljh_runbook.hub.context import Source
    from tljh_runbook.hub.database.sql import Database
    from tljh_runbook.hub.servers.watch import Seen

Measures = dict[str, Any]
HUB, SERVICES = "hub", "services"
FIRST = "first look"  # the measures of it, among those from before
WORDS = {True: "kept", False: "BROKEN", None: "not measured"}


@dataclass(frozen=True)
class Verdict:
    """What became of one guarantee; ``kept`` is None where it could not be measured."""

    guarantee: str
    kept: bool | None
    measured: str

    @property
    def word(self) -> str:
        return WORDS[self.kept]

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "word": self.word}


class Guarantee(Protocol):
    """One thing that an upgrade must not break."""

    name: str
    statement: str
    order: int

    def measure(self, source: Source) -> Any:
        """Return what is so now, as plain data."""

    def judge(self, before: Any, after: Any) -> tuple[bool | None, str]:
        """Say whether the guarantee held, and what was measured, in a few words.

        None where it could not be measured before, so that nobody can tell.
        """


@runtime_checkable
class Recorded(Protocol):
    """A guarantee of what the hub's databases hold."""

    def when_stopped(self, before: Any, found: Mapping[str, Database]) -> Any:
        """Return ``before`` as the databases tell it that nobody writes to any more."""


@runtime_checkable
class Glanced(Protocol):
    """A guarantee that is judged by its first look; others may change it from then on."""

    look: str
    """Whether that is when the hub answers, `HUB`, or its services, too: `SERVICES`."""

    def since(self, first: Any, after: Any) -> str:
        """Return what has changed since the first look, in a few words."""


@runtime_checkable
class Investigated(Protocol):
    """A guarantee that has to find out whose doing a change was."""

    def investigate(self, before: Any, source: Source, seen: Seen | None) -> Any:
        """Return ``before`` with what was found out; ``seen`` is None where nobody has watched."""


@runtime_checkable
class OfRows(Protocol):
    """A guarantee of what ``databases`` hold, some of which may be put back."""

    databases: frozenset[str]

    def shared(self, before: Any, after: Any, returned: Collection[str]) -> Any:
        """Return ``before`` less what is missing after it of the databases ``returned``."""


def every() -> tuple[Guarantee, ...]:
    """Return all guarantees, in the order in which they are shown."""
    names = [module.name for module in pkgutil.iter_modules(__path__)]
    modules = [importlib.import_module(f"{__name__}.{name}") for name in names]
    return tuple(sorted((module.GUARANTEE for module in modules), key=lambda each: each.order))


def measure(source: Source, known: Measures | None = None) -> Measures:
    """Measure every guarantee on the hub as it is now, but for those that are ``known``."""
    have = known or {}
    return {
        each.name: have[each.name] if each.name in have else each.measure(source)
        for each in every()
    }


def look(source: Source, which: str) -> Measures:
    """Return the first look at those guarantees that are judged by it at this moment.

    What cannot be read on a full disk is left out, and judged by the later measurement: a rollback
    must not fail because of it.
    """
    seen = {}
    for guarantee in every():
        if isinstance(guarantee, Glanced) and guarantee.look == which:
            with suppress(NoSpace, OSError):
                seen[guarantee.name] = guarantee.measure(source)
    return seen


def when_stopped(before: Measures, found: Mapping[str, Database]) -> Measures:
    """Return the measures as the databases of a stopped hub tell them."""
    return before | {
        guarantee.name: guarantee.when_stopped(before[guarantee.name], found)
        for guarantee in every()
        if isinstance(guarantee, Recorded) and guarantee.name in before
    }


def investigate(before: Measures, source: Source, seen: Seen | None) -> Measures:
    """Return the measures from before with whose doing it was what has changed since."""
    return before | {
        guarantee.name: guarantee.investigate(before[guarantee.name], source, seen)
        for guarantee in every()
        if isinstance(guarantee, Investigated) and guarantee.name in before
    }


def judge(before: Measures, after: Measures) -> list[Verdict]:
    """Compare two measurements. A guarantee that was not measured before is not judged."""
    first = before.get(FIRST, {})
    return [
        _verdict(
            guarantee, before[guarantee.name], first.get(guarantee.name), after[guarantee.name]
        )
        for guarantee in every()
        if guarantee.name in before
    ]


def _verdict(guarantee: Guarantee, before: Any, first: Any, after: Any) -> Verdict:
    if first is None or not isinstance(guarantee, Glanced):
        return Verdict(guarantee.name, *guarantee.judge(before, after))
    kept, told = guarantee.judge(before, first)
    since = guarantee.since(first, after)
    return Verdict(guarantee.name, kept, f"{told}; since then: {since}" if since else told)


def known_to_both(returned: Collection[str], before: Measures, after: Measures) -> Measures:
    """Return ``before`` without what only the newer databases knew of those that were ``returned``.

    Who goes back was told of these rows. What the old database adds, such as an admin, is judged.
    """
    seen = after | before.get(FIRST, {})
    return before | {
        guarantee.name: guarantee.shared(before[guarantee.name], seen[guarantee.name], returned)
        for guarantee in every()
        if isinstance(guarantee, OfRows)
        and guarantee.databases & set(returned)
        and guarantee.name in before
    }
