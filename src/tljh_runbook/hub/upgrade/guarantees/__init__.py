"""Guarantees: what an upgrade must not break, measured before and after.

Only the upgrade itself can break a guarantee. What users and the hub do meanwhile is reported, but
breaks nothing. So it matters when each measurement is taken:

- before: just before the hub is stopped, and its databases again while it is stopped;
- first look: as soon as the new hub answers, before anyone can have changed anything through it;
- after: when everything is up again. The upgrade did not cause changes since the first look.

A module of this package is a guarantee if it has a ``GUARANTEE``. Measurements are plain data
(JSON), so that they can be stored with the snapshot and compared again the next morning.
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
FIRST = "first look"  # the key of these measurements, among those from before
WORDS = {True: "kept", False: "BROKEN", None: "not measured"}


@dataclass(frozen=True)
class Verdict:
    """The result for one guarantee; ``kept`` is None if it could not be measured."""

    guarantee: str
    kept: bool | None
    measured: str

    @property
    def word(self) -> str:
        return WORDS[self.kept]

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "word": self.word}


class Guarantee(Protocol):
    """Something that an upgrade must not break, checked before and after."""

    name: str
    statement: str
    order: int

    def measure(self, source: Source) -> Any:
        """Return the current state, as plain data."""

    def judge(self, before: Any, after: Any) -> tuple[bool | None, str]:
        """Return whether the guarantee held, and a summary of what was measured.

        None if it could not be measured before, so that there is nothing to compare.
        """


@runtime_checkable
class Recorded(Protocol):
    """A guarantee about the contents of the hub's databases."""

    def when_stopped(self, before: Any, found: Mapping[str, Database]) -> Any:
        """Return ``before``, updated from the databases of the stopped hub."""


@runtime_checkable
class Glanced(Protocol):
    """A guarantee that is judged at the first look; later changes are not the upgrade's."""

    look: str
    """When the first look is taken: once the hub answers (`HUB`), or its services (`SERVICES`)."""

    def since(self, first: Any, after: Any) -> str:
        """Return a summary of the changes since the first look."""


@runtime_checkable
class Investigated(Protocol):
    """A guarantee that has to find out what caused a change."""

    def investigate(self, before: Any, source: Source, seen: Seen | None) -> Any:
        """Return ``before`` with the causes added; ``seen`` is None if nothing was watched."""


@runtime_checkable
class OfRows(Protocol):
    """A guarantee about rows in ``databases``, some of which may be restored."""

    databases: frozenset[str]

    def shared(self, before: Any, after: Any, returned: Collection[str]) -> Any:
        """Return ``before`` without the rows of the ``returned`` databases that ``after`` lacks."""


def every() -> tuple[Guarantee, ...]:
    """Return all guarantees, in display order."""
    names = [module.name for module in pkgutil.iter_modules(__path__)]
    modules = [importlib.import_module(f"{__name__}.{name}") for name in names]
    return tuple(sorted((module.GUARANTEE for module in modules), key=lambda each: each.order))


def measure(source: Source, known: Measures | None = None) -> Measures:
    """Measure every guarantee on the current hub, except those already in ``known``."""
    have = known or {}
    return {
        each.name: have[each.name] if each.name in have else each.measure(source)
        for each in every()
    }


def look(source: Source, which: str) -> Measures:
    """Return the first look for those guarantees that take it at the stage ``which``.

    Whatever cannot be read, because of a full disk for example, is left out and judged by the later
    measurement, so that it does not make a rollback fail.
    """
    seen = {}
    for guarantee in every():
        if isinstance(guarantee, Glanced) and guarantee.look == which:
            with suppress(NoSpace, OSError):
                seen[guarantee.name] = guarantee.measure(source)
    return seen


def when_stopped(before: Measures, found: Mapping[str, Database]) -> Measures:
    """Return the measurements, updated from the databases of the stopped hub."""
    return before | {
        guarantee.name: guarantee.when_stopped(before[guarantee.name], found)
        for guarantee in every()
        if isinstance(guarantee, Recorded) and guarantee.name in before
    }


def investigate(before: Measures, source: Source, seen: Seen | None) -> Measures:
    """Return the measurements from before, with the causes of what has changed since."""
    return before | {
        guarantee.name: guarantee.investigate(before[guarantee.name], source, seen)
        for guarantee in every()
        if isinstance(guarantee, Investigated) and guarantee.name in before
    }


def judge(before: Measures, after: Measures) -> list[Verdict]:
    """Compare the measurements before and after; skip guarantees not measured before."""
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
    """Return ``before`` without the rows that only the newer of the ``returned`` databases had.

    Anyone who rolls back was warned about these rows. Rows that the older database adds, such as an
    admin, are still judged.
    """
    seen = after | before.get(FIRST, {})
    return before | {
        guarantee.name: guarantee.shared(before[guarantee.name], seen[guarantee.name], returned)
        for guarantee in every()
        if isinstance(guarantee, OfRows)
        and guarantee.databases & set(returned)
        and guarantee.name in before
    }
