"""Promises: what an upgrade vows not to break, measured before and after.

A module of this package is a promise when it has a ``PROMISE``.  What one measures is plain data
(JSON), so that it can be kept with the snapshot and measured again the next morning.
"""

from __future__ import annotations

import importlib
import pkgutil
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Collection

    from tljh_runbook.hub.source import Source

Measures = dict[str, Any]
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


def judge(before: Measures, after: Measures) -> list[Verdict]:
    """Compare two measurements. A promise that was not measured before is not judged."""
    return [
        Verdict(promise.name, *promise.judge(before[promise.name], after[promise.name]))
        for promise in every()
        if promise.name in before
    ]


def known_to_both(returned: Collection[str], before: Measures, after: Measures) -> Measures:
    """Return ``before`` without what only the newer databases knew of those that were ``returned``.

    Who goes back was told of these rows. What the old database adds, such as an admin, is judged.
    """
    return {
        promise.name: promise.shared(before[promise.name], after[promise.name], returned)
        if isinstance(promise, OfRows) and promise.databases & set(returned)
        else before[promise.name]
        for promise in every()
        if promise.name in before
    }
