"""Says how many lies on the page *Upgrading* the documentation's tests would find.

Each character and each number that the page shows in a transcript is changed, one at a time, and
compared with what its commands printed when ``docs.test`` ran them last. A changed command is
caught when it would not be understood, or would do something else. Ends with 1 below 99 %.
"""

from __future__ import annotations

import contextlib
import functools
import io
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from documented import match
from documented.keeper import PRINTED, printed
from documented.pages import Block, build
from documented.server import REPOSITORY
from documented.transcript import PROMPT, Done
from invoke.program import Program

from tljh_runbook.errors import NoHub
from tljh_runbook.guide import project, tasks

PAGE = "upgrade"
ENOUGH = 0.99  # of what is not the same in each run anyway
CAUGHT, MISSED, EQUIVALENT = "caught", "missed", "equivalent"

PATH = f"{Path(sys.prefix) / 'bin'}:{os.environ['PATH']}"
_LOOSE = {"time", "duration", "log"}  # their digits are another in each run


@dataclass(frozen=True)
class Shown:
    """One command of the page, and what was compared before it."""

    block: Block
    done: Done
    before: match.Names


@dataclass(frozen=True)
class Mutant:
    """A line in which one thing is changed; ``at`` is where the change begins."""

    line: str
    at: int


def mutants(line: str) -> Iterator[Mutant]:
    """Yield the line with each character changed, and with each number one larger."""
    made = {}
    for at, character in enumerate(line):
        if not character.isspace():
            made[line[:at] + _other(character) + line[at + 1 :]] = at
    for found in re.finditer(r"\d+", line):
        larger = str(int(found[0]) + 1).zfill(len(found[0]))
        made[line[: found.start()] + larger + line[found.end() :]] = found.start()
    return (Mutant(text, at) for text, at in made.items())


def _other(character: str) -> str:
    """Return a character of the same sort."""
    for first, last in ("09", "az", "AZ"):
        if first <= character <= last:
            return first if character == last else chr(ord(character) + 1)
    return "~"


def judge_output(shown: list[Shown], which: int, line: int, mutant: Mutant) -> str:
    """Say whether a changed line of output is caught, here or further down the page."""
    it = shown[which]
    expected = [*it.done.expected[:line], mutant.line, *it.done.expected[line + 1 :]]
    if _differ(shown[which:], expected):
        return CAUGHT
    return EQUIVALENT if _equivalent(shown, it.done.expected[line], mutant.at) else MISSED


def _differ(rest: list[Shown], expected: list[str]) -> bool:
    names = dict(rest[0].before)
    if match.first_difference(expected, rest[0].done.printed, names) is not None:
        return True
    if names == (rest[1].before if len(rest) > 1 else None):
        return False
    return any(
        match.first_difference(each.done.expected, each.done.printed, names) is not None
        for each in rest[1:]
    )


def _equivalent(shown: list[Shown], line: str, at: int) -> bool:
    """Say whether only a value was changed that is another in each run.

    That is a digit of a time or duration, or of the name of a snapshot that the page mentions only
    once: were it mentioned again, the two would have to be the same.
    """
    for sort, begin, end in match.volatile(line):
        if begin <= at < end:
            once = _mentions(shown)[line[begin:end]] == 1
            return line[at].isdigit() and (sort in _LOOSE or (sort == "snapshot" and once))
    return False


def _mentions(shown: list[Shown]) -> Counter[str]:
    text = "\n".join(line for each in shown for line in each.done.expected)
    return Counter(re.findall(r"[\w.]+", text))


def judge_command(command: str, mutant: str) -> str:
    """Say whether a changed command is caught: it is not understood, or does something else."""
    try:
        old, new = shlex.split(command), shlex.split(mutant)
    except ValueError:
        return CAUGHT  # bash refuses it, too
    if not new or (new[0] != old[0] and shutil.which(new[0], path=PATH) is None):
        return CAUGHT
    caught = _other_plan(old, new) if old[0] == "invoke" else _refused(old, new)
    return CAUGHT if caught else MISSED


def _other_plan(old: list[str], new: list[str]) -> bool:
    return new[0] == old[0] and _dry(tuple(old[1:])) != _dry(tuple(new[1:]))


@functools.cache
def _dry(arguments: tuple[str, ...]) -> str:
    """Return the plan that invoke prints; nothing where it does not understand the arguments."""
    root = tasks.collection()
    project.add(root)
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(io.StringIO()):
        Program(namespace=root).run(["invoke", "--dry", *arguments], exit=False)
    return said.getvalue()


def _refused(old: list[str], new: list[str]) -> bool:
    """Say whether the program does not understand the command, or finds no hub at a changed path.

    It runs where there is no hub at all: what names the same hub is only caught when it is not
    understood.
    """
    done = subprocess.run(new, capture_output=True, check=False, env={**os.environ, "PATH": PATH})
    elsewhere = [each for each in new if each.startswith("/")] != [
        each for each in old if each.startswith("/")
    ]
    return done.returncode == 2 or (elsewhere and done.returncode == NoHub.code)


def read_page() -> list[Shown]:
    """Return what the page shows and what was printed. Ends when something was not executed."""
    with tempfile.TemporaryDirectory() as out:
        site = build(REPOSITORY / "docs", REPOSITORY, Path(out), runbook_evidence_required=False)
        blocks = [each for each in site.blocks() if each.page == PAGE and not each.reason]
    shown: list[Shown] = []
    names: match.Names = {}
    for block in blocks:
        done = printed(REPOSITORY / PRINTED, block)
        if done is None:
            sys.exit(f"{block.name} was not carried out as it is. Do it: ./invoke docs.test")
        for each in done:
            shown.append(Shown(block, each, dict(names)))
            if match.first_difference(each.expected, each.printed, names) is not None:
                sys.exit(f"{block.name} is not as it was printed. See: ./invoke docs.test")
    return shown


def judged(shown: list[Shown]) -> Iterator[tuple[str, str]]:
    """Yield the verdict of each mutant, and how it looks."""
    for n, each in enumerate(shown):
        for mutant in mutants(each.done.command):
            yield judge_command(each.done.command, mutant.line), PROMPT + mutant.line
        for line, text in enumerate(each.done.expected):
            for mutant in mutants(text):
                place = f"{each.block.page}:{each.block.line + each.done.begin + line}"
                verdict = judge_output(shown, n, line, mutant)
                yield verdict, f"{place}: {mutant.line}"


def main() -> None:
    """Print what is missed, then the score."""
    count: Counter[str] = Counter()
    for verdict, text in judged(read_page()):
        count[verdict] += 1
        if verdict == MISSED:
            print(f"not noticed: {text}")
    score = count[CAUGHT] / (count[CAUGHT] + count[MISSED])
    print(
        f"docs/{PAGE}.md: {sum(count.values())} changes, {count[CAUGHT]} caught, "
        f"{count[MISSED]} not noticed, {count[EQUIVALENT]} of times and names that are other in "
        f"each run: {score:.2%}"
    )
    sys.exit(score < ENOUGH)


if __name__ == "__main__":
    main()
