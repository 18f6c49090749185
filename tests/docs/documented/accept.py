"""Takes over into a page what its commands have printed: only the lines that differ.

Placeholders, lines of dots, and times stay where they still fit, and what the page has a name for
keeps it. What comes out is a change to read before it is committed.
"""

from __future__ import annotations

import difflib
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from documented import match
from documented.pages import Block
from documented.transcript import Done, carry_out

_WORDS = re.compile(rf"({match.DURATION}|\s+)")


@dataclass(frozen=True)
class Change:
    """Lines of a page that are replaced: from the index ``begin`` of the file on, ``count``."""

    file: Path
    begin: int
    count: int
    lines: tuple[str, ...]


def changes(block: Block, done: Iterable[Done], names: match.Names) -> list[Change]:
    """Return what must change in the page for the block to show what was printed.

    The names that are met on the way are added to ``names``.
    """
    found = []
    for each in done:
        lines = taken_over(each.expected, each.printed, names)
        if lines != each.expected:
            first = block.line - 1 + each.begin
            prefix = _prefix(block, each.where)
            text = tuple((prefix + line).rstrip() for line in lines)
            found.append(Change(block.file, first, len(each.expected), text))
        match.first_difference(lines, each.printed, names)
    return found


def rewritten(block: Block, done: Iterable[Done], made: Iterable[Change]) -> Block:
    """Return the block as it will be when the changes are made."""
    lines = block.text.splitlines()
    for change in sorted(made, key=lambda each: each.begin, reverse=True):
        begin = change.begin - block.line + 1
        where = max(each.where for each in done if each.begin <= begin)
        cut = len(_prefix(block, where))
        lines[begin : begin + change.count] = [line[cut:] for line in change.lines]
    return replace(block, text="\n".join(lines))


def again(block: Block, done: Iterable[Done]) -> list[Done]:
    """Return what was done for a block that shows it now as it is."""
    printed = iter(done)

    def run(_: str) -> tuple[list[str], int]:
        each = next(printed)
        return each.printed, each.status

    return carry_out(block, run)


def write(made: Iterable[Change]) -> None:
    """Make the changes, from the last line of each page to its first."""
    pages = defaultdict(list)
    for change in made:
        pages[change.file].append(change)
    for file, its in pages.items():
        lines = file.read_text(encoding="utf-8").split("\n")
        for change in sorted(its, key=lambda each: each.begin, reverse=True):
            lines[change.begin : change.begin + change.count] = change.lines
        file.write_text("\n".join(lines), encoding="utf-8")


def _prefix(block: Block, where: int) -> str:
    """Return the blanks by which the block is indented in the page."""
    line = block.file.read_text(encoding="utf-8").splitlines()[block.line - 1 + where]
    return line[: len(line) - len(line.lstrip())]


def taken_over(expected: Sequence[str], printed: Sequence[str], names: match.Names) -> list[str]:
    """Return the lines of a page that fit what was printed, as near to the old ones as can be."""
    if match.first_difference(expected, printed, dict(names)) is None:
        return list(expected)
    called = {real: shown for shown, real in names.items()}
    renamed = [_renamed(line, called) for line in printed]
    same = {shown: shown for shown in names}
    lines = _Sides(expected, renamed, same).laid()
    if match.first_difference(lines, printed, dict(names)) is None:
        return lines
    # A name that the page has not used before stands for two things: each gets its own.
    return _Sides(expected, renamed, same | _own(expected)).laid()


def _own(lines: Sequence[str]) -> match.Names:
    return {
        line[begin:end]: line[begin:end]
        for line in lines
        for sort, begin, end in match.volatile(line)
        if sort in match.NAMED
    }


def _renamed(line: str, called: dict[str, str]) -> str:
    """Return a printed line with the names that the page has for things."""
    for real, shown in called.items():
        line = line.replace(real, shown)
    return line


Way = tuple[float, list[str]]
"""What it costs to change lines, and what they are then."""


@dataclass(frozen=True)
class _Sides:
    """What a page shows beside what was printed."""

    expected: Sequence[str]
    printed: Sequence[str]
    names: match.Names

    def laid(self) -> list[str]:
        """Return the lines that fit, changed as little as can be.

        Each row of the table has the best way to show the first so many printed lines.
        """
        row: list[Way] = [(float(n), list(self.printed[:n])) for n in range(len(self.printed) + 1)]
        for shown in self.expected:
            row = self._with_dots(row) if shown == match.ANY_LINES else self._with(shown, row)
        return row[-1][1]

    def _with_dots(self, row: list[Way]) -> list[Way]:
        """Lines of dots stand for all lines before this one, or for none."""
        made: list[Way] = []
        for cost, lines in row:
            ways = [(cost, [*lines, match.ANY_LINES])]
            ways += [(made[-1][0] + 0.001, made[-1][1])] if made else []
            made.append(min(ways))
        return made

    def _with(self, shown: str, row: list[Way]) -> list[Way]:
        made = [(row[0][0] + 1.0, row[0][1])]
        for n, line in enumerate(self.printed):
            cost, new = self._line(shown, line)
            stays = (row[n][0] + cost, [*row[n][1], new])
            goes = (row[n + 1][0] + 1.0, row[n + 1][1])
            comes = (made[n][0] + 1.0, [*made[n][1], line])
            made.append(min(stays, goes, comes, key=lambda way: way[0]))
        return made

    def _line(self, expected: str, printed: str) -> tuple[float, str]:
        """Return what it costs to show one line for another, 0 to 1, and what is shown then."""
        if match.equal(expected, printed, self.names):
            return 0.0, expected
        alike = difflib.SequenceMatcher(None, expected, printed, autojunk=False).ratio()
        return 1.0 - 0.9 * alike, self._words(expected, printed)

    def _words(self, expected: str, printed: str) -> str:
        """Return the printed line, with the words of the old one where they still fit."""
        old, new = _WORDS.split(expected), _WORDS.split(printed)
        if len(old) != len(new):
            return printed
        pairs = zip(old, new, strict=True)
        return "".join(a if match.equal(a, b, self.names) else b for a, b in pairs)
