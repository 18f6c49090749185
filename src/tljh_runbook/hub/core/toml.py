"""TOML, which Python reads from version 3.11 on; before, the hub's own environment has a parser."""

from __future__ import annotations

import importlib
import json
import subprocess
from pathlib import Path
from typing import Any

# `toml` is among TLJH's requirements.
READ = "import json, sys, toml; json.dump(toml.loads(sys.stdin.read()), sys.stdout, default=str)"


def parse(text: str, python: Path) -> dict[str, Any]:
    """Return what a TOML text says; ``python`` is that of the hub's environment.

    Raises `ValueError` where it is not TOML.
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
