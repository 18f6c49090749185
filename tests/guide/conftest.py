"""A folder in which a person types invoke."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
OURS = Path(sys.prefix) / "bin"

Invoke = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Return a folder in which invoke finds our tasks, and that holds nothing else."""
    (tmp_path / "tasks.py").symlink_to(REPOSITORY / "tasks.py")
    return tmp_path


@pytest.fixture
def invoke(place: Path) -> Invoke:
    """Return a function that types ``invoke`` in ``place``, with pipes and not in a terminal."""

    def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        kept = {name: value for name, value in os.environ.items() if name[:7] != "INVOKE_"}
        path = f"{OURS}:{kept.get('PATH', '')}"
        return subprocess.run(
            [str(OURS / "invoke"), *arguments],
            cwd=place,
            env={**kept, "PATH": path, "PYTHONDONTWRITEBYTECODE": "1", **variables},
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    return run
