"""Promises: what an upgrade vows not to break, measured before and after.

Only what the upgrade did breaks one. What users and the hub do by themselves meanwhile is told, and
held against nobody; so the moments count at which something is looked at:

- before: just before the hub is stopped, and its databases once more when it is stopped;
- first look: as soon as the new hub answers, before anybody can have asked it for a change;
- after: when everything is there again. What has changed since the first look is others' doing.

A module of this package is a promise when it has a ``PROMISE``.  What one measures is plain data
(JSON), so that it can be kept with the snapshot and measured again the next morning.
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
    """What became of one promise; ``kept`` is None where it could not be measured."""

    promise: str
    kept: bool | None
    measured: str

    @property
    def word(self) -> str:
        return WORDS[self.kept]

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "word": self.word}


class Promise(Protocol):
    """One thing that an upgrade vows."""

    name: str
    vow: str
    order: int

    def measure(self, source: Source) -> Any:
        """Return what is so now, as plain data."""

    def judge(self, before: Any, after: Any) -> tuple[bool | None, str]:
        """Say whether the promise was kept, and what was measured, in a few words.

        None where it could not be measured before, so that nobody can tell.
        """


@runtime_checkable
class Recorded(Protocol):
    """A promise of what the hub's databases hold."""

    def when_stopped(self, before: Any, found: Mapping[str, Database]) -> Any:
        """Return ``before`` as the databases tell it that nobody writes to any more."""


@runtime_checkable
class Glanced(Protocol):
    """A promise that is judged by its first look; others may change it from then on."""

    look: str
    """Whether that is when the hub answers, `HUB`, or its services, too: `SERVICES`."""

    def since(self, first: Any, after: Any) -> str:
        """Return what has changed since the first look, in a few words."""


@runtime_checkable
class Investigated(Protocol):
    """A promise that has to find out whose doing a change was."""

    def investigate(self, before: Any, source: Source, seen: Seen | None) -> Any:
        """Return ``before`` with what was found out; ``seen`` is None where nobody has watched."""


@runtime_checkable
class OfRows(Protocol):
    """A promise of what ``databases`` hold, some of which may be put back."""

    databases: frozenset[str]

    def shared(self, before: Any, after: Any, returned: Collection[str]) -> Any:
        """Return ``before`` less what is missing after it of the databases ``returned``."""


def every() -> tuple[Promise, ...]:
    """Return all promises, in the order in which they are shown."""
    names = [module.name for module in pkgutil.iter_modules(__path__)]
    modules = [importlib.import_module(f"{__name__}.{name}") for name in names]
    return tuple(sorted((module.PROMISE for module in modules), key=lambda each: each.order))


def measure(source: Source, known: Measures | None = None) -> Measures:
    """Measure every promise on the hub as it is now, but for those that are ``known``."""
    have = known or {}
    return {
        each.name: have[each.name] if each.name in have else each.measure(source)
        for each in every()
    }


def look(source: Source, which: str) -> Measures:
    """Return the first look at those promises that are judged by it at this moment.

    What cannot be read on a full disk is left out, and judged by the later measurement: a rollback
    must not fail because of it.
    """
    seen = {}
    for promise in every():
        if isinstance(promise, Glanced) and promise.look == which:
            with suppress(NoSpace, OSError):
                seen[promise.name] = promise.measure(source)
    return seen


def when_stopped(before: Measures, found: Mapping[str, Database]) -> Measures:
    """Return the measures as the databases of a stopped hub tell them."""
    return before | {
        promise.name: promise.when_stopped(before[promise.name], found)
        for promise in every()
        if isinstance(promise, Recorded) and promise.name in before
    }


def investigate(before: Measures, source: Source, seen: Seen | None) -> Measures:
    """Return the measures from before with whose doing it was what has changed since."""
    return before | {
        promise.name: promise.investigate(before[promise.name], source, seen)
        for promise in every()
        if isinstance(promise, Investigated) and promise.name in before
    }


def judge(before: Measures, after: Measures) -> list[Verdict]:
    """Compare two measurements. A promise that was not measured before is not judged."""
    first = before.get(FIRST, {})
    return [
        _verdict(promise, before[promise.name], first.get(promise.name), after[promise.name])
        for promise in every()
        if promise.name in before
    ]


def _verdict(promise: Promise, before: Any, first: Any, after: Any) -> Verdict:
    if first is None or not isinstance(promise, Glanced):
        return Verdict(promise.name, *promise.judge(before, after))
    kept, told = promise.judge(before, first)
    since = promise.since(first, after)
    return Verdict(promise.name, kept, f"{told}; since then: {since}" if since else told)


def known_to_both(returned: Collection[str], before: Measures, after: Measures) -> Measures:
    """Return ``before`` without what only the newer databases knew of those that were ``returned``.

    Who goes back was told of these rows. What the old database adds, such as an admin, is judged.
    """
    seen = after | before.get(FIRST, {})
    return before | {
        promise.name: promise.shared(before[promise.name], seen[promise.name], returned)
        for promise in every()
        if isinstance(promise, OfRows)
        and promise.databases & set(returned)
        and promise.name in before
    }
