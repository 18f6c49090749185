"""What a start takes, beside a Python that only imports the library that it stands on.

It counts the processor's seconds, which on an idle machine are those that a person waits.
"""

from __future__ import annotations

import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from rows import Pair, Row, in_turn

PYTHON = "/usr/bin/python3"


def rows(folder: Path, rounds: int) -> Iterator[Row]:
    """Yield the figures of both halves, each after one start that warms the caches."""
    tool, invoke = _unpacked(folder), ["./invoke", "--list"]
    # As the tool itself is started on a server: with the system's Python, and with click beside it.
    find = f"import sys; sys.path.insert(0, {str(_library(folder))!r}); import click"
    pairs = _pairs([tool, "--version"], [PYTHON, "-ISXutf8", "-c", find], rounds)
    yield Row("`tljh-runbook --version`", "Python importing click", "s", 2.0, pairs)
    pairs = _pairs(invoke, [sys.executable, "-c", "import invoke"], rounds)
    yield Row("`invoke --list`", "Python importing invoke", "s", 2.0, pairs)


def _pairs(ours: list[str], peer: list[str], rounds: int) -> list[Pair]:
    for each in (ours, peer):
        _spent(each)
    return in_turn(rounds, lambda: _spent(ours), lambda: _spent(peer))


def _unpacked(folder: Path) -> str:
    """Bring the tool to a folder that stands for a server, as a playbook does."""
    file = folder / "tljh-runbook.pyz"
    _quietly([sys.executable, "-m", "tljh_runbook.bundle", str(file)])
    _quietly([PYTHON, str(file), "unpack", "--root", str(folder)])
    return str(folder / "usr/local/bin/tljh-runbook")


def _library(folder: Path) -> Path:
    """Return where the unpacked click is."""
    return next(folder.glob("usr/**/click/__init__.py")).parents[1]


def _spent(command: list[str]) -> float:
    """Return the seconds that a command uses the processor for."""
    before = _children()
    _quietly(command)
    return _children() - before


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _quietly(command: list[str]) -> None:
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
