"""YAML as TLJH writes it: an administrator's comments, order and quotes are preserved."""

from __future__ import annotations

import io
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

__all__ = ["YAMLError", "dump", "load", "parse", "reason"]


def parse(text: str) -> Any:
    """Return plain Python values. Raises `YAMLError`."""
    return _read(YAML(typ="safe", pure=True), text)


def load(text: str) -> Any:
    """Return values that remember their formatting. Raises `YAMLError`."""
    return _read(_editor(), text)


def reason(error: YAMLError) -> str:
    """Return what is wrong and where, in one line.

    The parser's own message repeats itself and quotes values, which may be secret.
    """
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    problem = getattr(error, "problem", None) or str(error).partition("\n")[0]
    line, column = (mark.line + 1, mark.column + 1) if mark else (0, 0)
    place = f"line {line}, column {column}: " if mark else ""
    return place + " ".join(problem.partition(" with value ")[0].split()).rstrip(".") + "."


def dump(values: Any) -> str:
    """Return the text of values that `load` returned."""
    text = io.StringIO()
    _editor().dump(values, text)
    return text.getvalue()


def _read(reader: YAML, text: str) -> Any:
    try:
        return reader.load(text)
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        # The parser raises these for a 13th month, or a thousand nested brackets.
        raise YAMLError(f"{type(error).__name__}: {error}") from error


def _editor() -> YAML:
    editor = YAML()
    editor.preserve_quotes = True
    editor.width = 4096  # never fold a line that an administrator wrote
    return editor
