"""Where in its own file the prose of a step stands, so that a warning can point at it."""

from __future__ import annotations

import ast
import functools
from dataclasses import dataclass
from pathlib import Path

from tljh_runbook.guide.steps import Step


@dataclass(frozen=True)
class Lines:
    """The first lines of a step's three texts, counted from 1."""

    prose: int
    check: int
    undo: int


def of(step: Step) -> Lines:
    """Return the lines in ``step.file`` at which the texts of ``step`` begin."""
    return _all(step.file)[step.name]


@functools.cache
def _all(file: str) -> dict[str, Lines]:
    tree = ast.parse(Path(file).read_text(encoding="utf-8"))
    functions = (node for node in tree.body if isinstance(node, ast.FunctionDef))
    return dict(found for function in functions for found in _decorated(function))


def _decorated(function: ast.FunctionDef) -> list[tuple[str, Lines]]:
    found = []
    for call in function.decorator_list:
        if isinstance(call, ast.Call) and call.args and isinstance(call.args[0], ast.Constant):
            texts = {word.arg: word.value.lineno for word in call.keywords}
            top = function.body[0].lineno
            place = Lines(top, texts.get("check", top), texts.get("undo", top))
            found.append((str(call.args[0].value), place))
    return found
