"""Whether a command printed what the page shows.

These may differ, and no others: times and durations; a placeholder of `PLACEHOLDERS`, which stands
for one word; a line of three dots, which stands for any lines; and names that are new in each run,
those of snapshots and commits. One name on a page is one thing, and one thing has one name.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Sequence

PLACEHOLDERS = ("<pid>", "<port>", "<password>", "<size>", "<count>", "<host>")
ANY_LINES = "..."

# A hash has digits, and letters too unless it is long: a number of seven digits is no hash.
_HASH = r"\b(?=[0-9a-f]*\d)(?=[0-9a-f]*[a-f]|\d{12})[0-9a-f]{7,64}\b"
DURATION = r"\b\d+(?:\.\d+)? (?:s|ms|min|h|seconds?|minutes?|hours?|days?)\b"
_PARTS = {
    "any": "|".join(map(re.escape, PLACEHOLDERS)),
    "log": r"\blogs/\d{8}T\d{6}Z",
    "snapshot": r"\b\d{8}T\d{6}Z(?:-\d+)?\b",
    "time": (
        r"\b\d{8}T\d{6}\.\d+Z\b"
        r"|\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:?\d\d)?"
    ),
    "duration": DURATION,
    "hash": _HASH,
    "blanks": r"[ \t]+",
}
_VOLATILE = {"log", "snapshot", "time", "duration", "hash"}
NAMED = {"snapshot", "hash"}  # the same name on the page is the same thing in a run
_SOME = re.compile("|".join(f"(?P<{name}>{pattern})" for name, pattern in _PARTS.items()))

Names = dict[str, str]
"""What the page calls a snapshot or commit, and what it was called in this run."""
_Pairs = frozenset[tuple[str, str]]


def volatile(line: str) -> Iterator[tuple[str, int, int]]:
    """Yield what differs in each run: of which sort it is, where it begins and where it ends."""
    for found in _SOME.finditer(line):
        if found.lastgroup in _VOLATILE:
            yield str(found.lastgroup), found.start(), found.end()


@functools.cache
def _pattern(expected: str) -> tuple[re.Pattern[str], tuple[str, ...]]:
    """Return what a line must look like, and the names in it: each a group of the pattern."""
    expected = expected.rstrip()
    made, names, end = "", [], 0
    for found in _SOME.finditer(expected):
        sort = str(found.lastgroup)
        made += re.escape(expected[end : found.start()])
        made += f"({_PARTS[sort]})" if sort in NAMED else _loose(sort)
        names += [found[0]] if sort in NAMED else []
        end = found.end()
    return re.compile(made + re.escape(expected[end:])), tuple(names)


def _loose(sort: str) -> str:
    return r"\S+" if sort == "any" else f"(?:{_PARTS[sort]})"


def equal(expected: str, actual: str, names: Names | None = None) -> bool:
    """Return whether one line is as the page shows it, where things have these names already."""
    return _named(expected, actual, frozenset((names or {}).items())) is not None


def _named(expected: str, actual: str, known: _Pairs) -> _Pairs | None:
    """Return the names after a line, or None where it is not as the page shows it."""
    pattern, shown = _pattern(expected)
    found = pattern.fullmatch(actual.rstrip())
    if found is None:
        return None
    return _added(known, zip(shown, found.groups(), strict=True)) if shown else known


def _added(known: _Pairs, new: Iterator[tuple[str, str]]) -> _Pairs | None:
    names = dict(known)
    for shown, real in new:
        if names.setdefault(shown, real) != real:
            return None
    return frozenset(names.items()) if len(set(names.values())) == len(names) else None


def first_difference(
    expected: Sequence[str], actual: Sequence[str], names: Names | None = None
) -> int | None:
    """Return the index of the expected line that does not fit, or None when all fit.

    With lines of dots there are several ways to lay the lines side by side: all are followed at
    once, and the one that comes furthest counts. When all fit, ``names`` has the new names, too.
    """
    names = {} if names is None else names
    at = _skipped({(0, frozenset(names.items()))}, expected)
    for line in actual:
        further = _after(line, at, expected)
        if not further:
            return max(n for n, _ in at)
        at = _skipped(further, expected)
    ended = [known for n, known in at if n == len(expected)]
    if not ended:
        return max(n for n, _ in at)
    names.update(min(ended, key=sorted))
    return None


def _after(
    line: str, at: set[tuple[int, _Pairs]], expected: Sequence[str]
) -> set[tuple[int, _Pairs]]:
    further = set()
    for n, known in at:
        if n == len(expected):
            continue
        if expected[n] == ANY_LINES:
            further.add((n, known))
        elif (after := _named(expected[n], line, known)) is not None:
            further.add((n + 1, after))
    return further


def _skipped(at: set[tuple[int, _Pairs]], expected: Sequence[str]) -> set[tuple[int, _Pairs]]:
    """Add the places that are reached when lines of dots stand for nothing."""
    for n, known in sorted(at, key=lambda each: each[0]):
        place = n
        while place < len(expected) and expected[place] == ANY_LINES:
            place += 1
            at = at | {(place, known)}
    return at
