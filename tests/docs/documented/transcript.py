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


@dataclass(frozen=True)
class Done:
    """A command of a block that was carried out: where, what the page shows, what was printed.

    ``where`` is the index of its line in the block, ``begin`` that of the first line below it.
    """

    command: str
    where: int
    begin: int
    shown: list[str]
    printed: list[str]
    status: int

    @property
    def expected(self) -> list[str]:
        """What the page shows as printed, without the exit status."""
        return _status(self.shown)[0]

    @property
    def stated(self) -> int:
        """The exit status that the page states; none means success."""
        return _status(self.shown)[1]


def execute(block: Block, run: Runner, names: match.Names | None = None) -> list[Done]:
    """Carry out a block. Raises `NotAsShown`, with the page's line, for the first that differs."""
    done = carry_out(block, run)
    compare(block, done, {} if names is None else names)
    return done


def carry_out(block: Block, run: Runner) -> list[Done]:
    """Run the commands of a block, up to one that ends otherwise than the page says."""
    reader, done = Reader(block), []
    while reader.more:
        where = reader.at
        command = reader.command()
        begin = reader.at
        done.append(Done(command, where, begin, reader.output(), *run(command)))
        if done[-1].status != done[-1].stated:
            break
    return done


def compare(block: Block, done: list[Done], names: match.Names) -> None:
    """Compare what was printed with what the page shows, and add the names that are new."""
    for each in done:
        _compare(Reader(block), each, names)


def _compare(reader: Reader, done: Done, names: match.Names) -> None:
    shown = done.expected
    differs = match.first_difference(shown, done.printed, names)
    if differs is not None:
        # Where the page leaves a line out, point at the last that it has.
        at = done.begin + min(differs, len(shown) - 1) if shown else done.where
        diff = _diff(shown, done.printed, done.status)
        raise NotAsShown(f"{reader.place(at)}: other output\n$ {done.command}\n{diff}")
    if done.status != done.stated:
        said = f"the page says {done.stated}" if done.stated else "the page does not say so"
        text = "\n".join(done.printed)
        raise NotAsShown(
            f"{reader.place(done.where)}: exit status {done.status}, {said}\n"
            f"$ {done.command}\n{text}"
        )


def _status(shown: list[str]) -> tuple[list[str], int]:
    """Part the output from the exit status that its last line states; none means success."""
    found = _STATUS.fullmatch(shown[-1]) if shown else None
    return (shown[:-1], int(found[1])) if found else (shown, 0)


def _diff(shown: list[str], printed: list[str], status: int) -> str:
    names = ("the page shows", f"was printed, exit status {status}")
    return "\n".join(difflib.unified_diff(shown, printed, *names, lineterm=""))
