"""The Pythons of this machine, and servers whose Python an upgrade of the system has taken away."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import debian_python
import pytest
import supported

from tljh_runbook.hub.versions import interpreter

RECENT = supported.VERSIONS[-2:]  # what Debian's testing suite may have


def own() -> Path:
    """Return the Python that this one's environment was made with."""
    return Path(sys._base_executable).resolve()  # type: ignore[attr-defined]


def find(version: str) -> Path:
    """Return a Python of this version: this machine's, or Debian's where it is recent.

    Skips without, and says why.
    """
    try:
        return _find(version, needed="sys")
    except debian_python.Unavailable as reason:
        pytest.skip(f"there is no Python {version} on this machine, and {reason}")


def other() -> Path:
    """Return a Python of another version than our own that can make environments.

    Prefers the newest. Skips where there is none.
    """
    ours = int(sys.version_info[1])
    for version in reversed(supported.VERSIONS):
        if version != f"3.{ours}":
            with suppress(debian_python.Unavailable):
                return _find(version, needed="ensurepip, venv")
    pytest.skip(f"this machine has no Python but 3.{ours} that can make environments")


def newer() -> Path:
    """Return a newer Python than our own, as an upgrade of the system brings. Skips without."""
    found = other()
    if tuple(map(int, interpreter.version(str(found)).split("."))) < sys.version_info[:3]:
        pytest.skip("this machine has no newer Python than the one that runs the tests")
    return found


def _find(version: str, needed: str) -> Path:
    """Return a Python that has these modules. Raises `debian_python.Unavailable`."""
    homes = [*sorted(Path.home().glob(f".pyenv/versions/{version}.*")), Path("/usr")]
    for python in (home / "bin" / f"python{version}" for home in homes):
        if _has(python, needed):
            return python.resolve()
    if version not in RECENT:
        raise debian_python.Unavailable("Debian's testing suite has only recent ones")
    python = debian_python.bring(version)
    if not _has(python, needed):
        raise debian_python.Unavailable(f"{python} does not run here")
    return python


def _has(python: Path, needed: str) -> bool:
    command: list[str | Path] = [python, "-c", f"import {needed}"]
    return (
        python.exists() and not subprocess.run(command, capture_output=True, check=False).returncode
    )


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
    program = folder / "python3"
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(str(python))} "$@"\n', encoding="utf-8")
    program.chmod(0o755)
    return {**os.environ, "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}
