"""The Pythons of this machine, and servers whose Python an upgrade of the system has taken away."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import supported

from tljh_runbook.hub import interpreter

OLDEST, NEWEST = (int(each.partition(".")[2]) for each in supported.ENDS)


def own() -> Path:
    """Return the Python that this one's environment was made with."""
    return Path(sys._base_executable).resolve()  # type: ignore[attr-defined]


def other() -> Path:
    """Return a Python of another version than our own, a newer one before an older one.

    Skips where this machine has none.
    """
    ours = int(sys.version_info[1])
    for minor in (*range(ours + 1, NEWEST + 1), *range(ours - 1, OLDEST - 1, -1)):
        for python in (place / f"python3.{minor}" for place in _places()):
            if _makes_environments(python):
                return python.resolve()
    pytest.skip(f"this machine has no Python but 3.{ours} that can make environments")


def newer() -> Path:
    """Return a newer Python than our own, as an upgrade of the system brings. Skips without."""
    found = other()
    if tuple(map(int, interpreter.version(str(found)).split("."))) < sys.version_info[:3]:
        pytest.skip("this machine has no newer Python than the one that runs the tests")
    return found


def _places() -> list[Path]:
    return [Path("/usr/bin"), *sorted(Path.home().glob(".pyenv/versions/3.*/bin"))]


def _makes_environments(python: Path) -> bool:
    command: list[str | Path] = [python, "-I", "-c", "import ensurepip, venv"]
    return python.exists() and not subprocess.run(command, check=False).returncode


def copy(python: Path, target: Path) -> Path:
    """Copy a whole Python, as a system has one that can be taken away; return its program."""
    home = python.parents[1]
    library = f"lib/{python.name}"
    left_out = shutil.ignore_patterns("test", "idlelib", "__pycache__", "site-packages", "config-*")
    shutil.copytree(home / library, target / library, ignore=left_out, symlinks=True)
    program = target / "bin" / python.name
    program.parent.mkdir()
    shutil.copy2(python, program)
    return program


def bind(environment: Path, python: Path) -> None:
    """Bind an environment to a Python, as if it had been made with it."""
    for name in ("python", "python3", python.name):
        (environment / "bin" / name).unlink(missing_ok=True)
        (environment / "bin" / name).symlink_to(python)
    told = environment / "pyvenv.cfg"
    lines = told.read_text(encoding="utf-8").splitlines()
    kept = [line for line in lines if line.partition("=")[0].strip() != "home"]
    told.write_text("\n".join([f"home = {python.parent}", *kept, ""]), encoding="utf-8")


def found_first(python: Path, folder: Path) -> dict[str, str]:
    """Return an environment in which this Python is the system's."""
    folder.mkdir(exist_ok=True)
    (folder / "python3").symlink_to(python)
    return {**os.environ, "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}
