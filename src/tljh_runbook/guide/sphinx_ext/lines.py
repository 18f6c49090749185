"""The line numbers of a step's texts in its Python file, so that warnings can point to them."""

from __future__ import annotations

import ast
import functools
from collections.abc import Mapping
from pathlib import Path

from tljh_runbook.guide.steps import Step

PROSE = "prose"


def of(step: Step) -> Mapping[str, int]:
    """Return the lines in ``step.file`` where the texts of ``step`` start, counted from 1."""
    return _all(step.file)[step.name]


@functools.cache
def _all(file: str) -> dict[str, dict[str, int]]:
    tree = ast.parse(Path(file).read_text(encoding="utf-8"))
    functions = (node for node in tree.body if isinstance(node, ast.FunctionDef))
    return dict(found for function in functions for found in _decorated(function))


def _decorated(function: ast.FunctionDef) -> list[tuple[str, dict[str, int]]]:
    return [
        (
            str(call.args[0].value),
            {PROSE: function.body[0].lineno}
            | {str(word.arg): word.value.lineno for word in call.keywords},
        )
        for call in function.decorator_list
        if isinstance(call, ast.Call) and call.args and isinstance(call.args[0], ast.Constant)
    ]
