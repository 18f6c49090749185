"""A transcript: commands after ``$``, continued after ``>``, and what they print."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable
from dataclasses import dataclass, field

from documented import match
from documented.pages import Block

PROMPT = "$ "
CONTINUED = "> "
_STATUS = re.compile(r"\[(\d+)\]")

Runner = Callable[[str], tuple[list[str], int]]


class NotAsShown(AssertionError):
    """A page shows what a command does not do."""


@dataclass
class Reader:
    """Goes through the lines of a block; ``at`` is the next one."""

    block: Block
    at: int = 0
    lines: list[str] = field(init=False)

    def __post_init__(self) -> None:
        self.lines = self.block.text.splitlines()

    @property
    def more(self) -> bool:
        """Whether lines are left."""
        return self.at < len(self.lines)

    def command(self) -> str:
        """Take a command with its continuations."""
        if not self.lines[self.at].startswith(PROMPT):
            raise NotAsShown(f"{self.place(self.at)}: a transcript begins with a command: $ …")
        parts = [self._take()[len(PROMPT) :]]
        while self.more and self.lines[self.at].startswith(CONTINUED):
            parts.append(self._take()[len(CONTINUED) :])
        return "\n".join(parts)

    def output(self) -> list[str]:
        """Take what the page shows as printed, up to the next command."""
        shown = []
        while self.more and not self.lines[self.at].startswith(PROMPT):
            shown.append(self._take())
        return shown

    def _take(self) -> str:
        self.at += 1
        return self.lines[self.at - 1]

    def place(self, index: int) -> str:
        """Return where a line of the block stands."""
        return f"{self.block.file}:{self.block.line + index}"


def execute(block: Block, run: Runner) -> None:
    """Carry out a block. Raises `NotAsShown`, with the page's line, for the first that differs."""
    reader = Reader(block)
    while reader.more:
        where = reader.at
        command = reader.command()
        begin = reader.at
        shown = reader.output()
        _compare(reader, command, (where, begin), shown, run(command))


def _compare(
    reader: Reader,
    command: str,
    at: tuple[int, int],
    shown: list[str],
    done: tuple[list[str], int],
) -> None:
    where, begin = at
    printed, status = done
    shown, stated = _status(shown)
    differs = match.first_difference(shown, printed)
    if differs is not None:
        # Where the page leaves a line out, point at the last that it has.
        wrong = reader.place(begin + min(differs, len(shown) - 1) if shown else where)
        raise NotAsShown(f"{wrong}: other output\n$ {command}\n{_diff(shown, printed, status)}")
    if status != stated:
        said = f"the page says {stated}" if stated else "the page does not say so"
        text = "\n".join(printed)
        raise NotAsShown(
            f"{reader.place(where)}: exit status {status}, {said}\n$ {command}\n{text}"
        )


def _status(shown: list[str]) -> tuple[list[str], int]:
    """Part the output from the exit status that its last line states; none means success."""
    found = _STATUS.fullmatch(shown[-1]) if shown else None
    return (shown[:-1], int(found[1])) if found else (shown, 0)


def _diff(shown: list[str], printed: list[str], status: int) -> str:
    names = ("the page shows", f"was printed, exit status {status}")
    return "\n".join(difflib.unified_diff(shown, printed, *names, lineterm=""))
