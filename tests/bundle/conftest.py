"""The bundle, and the Pythons that it is to run under."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import pythons
import supported

import tljh_runbook

SOURCES = Path(tljh_runbook.__file__).parents[1]
SYSTEM = Path("/usr/bin/python3")
VERSIONS = supported.VERSIONS
TOO_OLD = ("2.7", "3.6", "3.8", "3.9")
BARE = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8"}

Done = subprocess.CompletedProcess[str]
Run = Callable[..., Done]


@pytest.fixture(params=VERSIONS)
def python(request: pytest.FixtureRequest) -> str:
    """Each Python that is supported."""
    return str(pythons.find(request.param))


def write_bundle(file: Path, *, python: str = sys.executable, **environment: str) -> Done:
    """Write a bundle in a process of its own."""
    return subprocess.run(
        [python, "-m", "tljh_runbook.bundle", str(file)],
        env={**os.environ, "PYTHONPATH": str(SOURCES), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="session")
def pyz(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle of this checkout, away from it."""
    file = tmp_path_factory.mktemp("bundle") / "tljh-runbook.pyz"
    done = write_bundle(file)
    assert done.returncode == 0, done.stderr
    return file


@pytest.fixture(scope="session")
def newer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle of a checkout in which one word differs."""
    folder = tmp_path_factory.mktemp("newer")
    shutil.copytree(SOURCES / "tljh_runbook", folder / "tljh_runbook")
    file = folder / "tljh_runbook" / "__init__.py"
    file.write_text(file.read_text().replace("0.1.0", "0.1.1"))
    done = write_bundle(folder / "tljh-runbook.pyz", PYTHONPATH=str(folder))
    assert done.returncode == 0, done.stderr
    return folder / "tljh-runbook.pyz"


def run(
    *words: object,
    cwd: Path = Path("/"),
    env: dict[str, str] | None = None,
    user: int | None = None,
) -> Done:
    """Run a command as on a server: nothing of this environment is known to it."""
    return subprocess.run(
        [str(word) for word in words],
        cwd=cwd,
        env=env or BARE,
        user=user,
        group=user,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def traps(tmp_path: Path) -> dict[str, str]:
    """What a user may have set for Python: a folder whose modules must not be imported."""
    folder = tmp_path / "traps"
    folder.mkdir()
    for name in ("click", "json", "fcntl", "sitecustomize", "usercustomize", "tljh_runbook"):
        (folder / f"{name}.py").write_text("raise SystemExit('imported from a trap')\n")
    return {**BARE, "PYTHONPATH": str(folder), "PYTHONSAFEPATH": "", "PYTHONUSERBASE": str(folder)}
