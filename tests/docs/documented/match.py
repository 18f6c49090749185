"""Whether a command printed what the page shows.

Three things may differ, and no others: what `masked` masks; a placeholder of `PLACEHOLDERS`, which
stands for one word; and a line of three dots, which stands for any lines.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

PLACEHOLDERS = ("<pid>", "<port>", "<password>", "<size>", "<count>", "<host>")
ANY_LINES = "..."

_MASKS = (
    (re.compile(r"\b\d{8}T\d{6}(\.\d+)?Z\b"), "TIME"),
    (re.compile(r"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)?"), "TIME"),
    (re.compile(r"\b\d+(\.\d+)? (s|ms|min|h|seconds?|minutes?|hours?|days?)\b"), "DURATION"),
    # A hash has digits, and letters too unless it is long: a number of seven digits is no hash.
    (re.compile(r"\b(?=[0-9a-f]*\d)(?=[0-9a-f]*[a-f]|\d{12})[0-9a-f]{7,64}\b"), "HASH"),
)


def masked(line: str) -> str:
    """Return the line with times, durations and hashes made equal, and runs of blanks folded."""
    for pattern, word in _MASKS:
        line = pattern.sub(word, line)
    return re.sub(r"[ \t]+", " ", line).rstrip()


def equal(expected: str, actual: str) -> bool:
    """Return whether one line is as the page shows it."""
    names = "|".join(map(re.escape, PLACEHOLDERS))
    parts = re.split(f"({names})", masked(expected))
    pattern = "".join(r"\S+" if part in PLACEHOLDERS else re.escape(part) for part in parts)
    return re.fullmatch(pattern, masked(actual)) is not None


def first_difference(expected: Sequence[str], actual: Sequence[str]) -> int | None:
    """Return the index of the expected line that does not fit, or None when all fit.

    With lines of dots there are several ways to lay the lines side by side: all are followed at
    once, and the one that comes furthest counts.
    """
    at = _skipped({0}, expected)
    for line in actual:
        further = {n for n in at if n < len(expected) and expected[n] == ANY_LINES}
        further |= {n + 1 for n in at - further if n < len(expected) and equal(expected[n], line)}
        if not further:
            return max(at)
        at = _skipped(further, expected)
    return None if len(expected) in at else max(at)


def _skipped(at: set[int], expected: Sequence[str]) -> set[int]:
    """Add the places that are reached when lines of dots stand for nothing."""
    for n in sorted(at):
        place = n
        while place < len(expected) and expected[place] == ANY_LINES:
            place += 1
            at = at | {place}
    return at
