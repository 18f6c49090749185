"""The Pythons that the tests run on: each is a line of `pyproject.toml`, one more a year."""

from __future__ import annotations

import re
from pathlib import Path

PROJECT = Path(__file__).parents[2] / "pyproject.toml"
VERSIONS = tuple(re.findall(r'Python :: (3\.\d+)"', PROJECT.read_text(encoding="utf-8")))
ENDS = VERSIONS[0], VERSIONS[-1]
