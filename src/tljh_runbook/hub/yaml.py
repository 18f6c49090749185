"""YAML as TLJH writes it: comments, order and quotes of an administrator survive."""

from __future__ import annotations

import io
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

__all__ = ["YAMLError", "dump", "load", "parse"]


def parse(text: str) -> Any:
    """Return plain Python values. Raises `YAMLError`."""
    return YAML(typ="safe", pure=True).load(text)


def load(text: str) -> Any:
    """Return values that remember how they were written. Raises `YAMLError`."""
    return _editor().load(text)


def dump(values: Any) -> str:
    """Return the text of values that `load` returned."""
    text = io.StringIO()
    _editor().dump(values, text)
    return text.getvalue()


def _editor() -> YAML:
    editor = YAML()
    editor.preserve_quotes = True
    editor.width = 4096  # never fold a line that an administrator wrote
    return editor
