"""TOML parsing: with ``tomllib`` from Python 3.11 on, before that in the hub's environment."""

from __future__ import annotations

import importlib
import json
import subprocess
from pathlib import Path
from typing import Any

# `toml` is one of TLJH's requirements, so the hub's environment has it.
READ = "import json, sys, toml; json.dump(toml.loads(sys.stdin.read()), sys.stdout, default=str)"


def parse(text: str, python: Path) -> dict[str, Any]:
    """Return the values in a TOML text; ``python`` is the one of the hub's environment.

    Raises `ValueError` if the text is not TOML.
    """
    try:
        reader = importlib.import_module("tomllib")
    except ModuleNotFoundError:
        return _parsed_there(text, python)
    values: dict[str, Any] = reader.loads(text)
    return values


def _parsed_there(text: str, python: Path) -> dict[str, Any]:
    done = subprocess.run(
        [str(python), "-I", "-c", READ], input=text, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise ValueError(done.stderr.strip().rpartition("\n")[2])
    values: dict[str, Any] = json.loads(done.stdout)
    return values
