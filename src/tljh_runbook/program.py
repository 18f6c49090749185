"""This program itself: its version, how it is typed, how it is started once more."""

from __future__ import annotations

import pkgutil
import shlex
import shutil
import sys
from pathlib import Path

import tljh_runbook

BUILD = "BUILD"  # a file beside our modules, where they travel as one file


def build() -> str:
    """Return the build that this is, '' in a checkout."""
    try:
        return (pkgutil.get_data(tljh_runbook.__name__, BUILD) or b"").decode().strip()
    except OSError:
        return ""


def version() -> str:
    """Return the version, and the build where there is one."""
    made = build()
    return f"{tljh_runbook.__version__} (build {made})" if made else tljh_runbook.__version__


def archive() -> Path | None:
    """Return the one file that we run from, or were unpacked from; None in a checkout."""
    running = getattr(tljh_runbook.__loader__, "archive", None)
    if running:
        return Path(running).absolute()
    unpacked = Path(tljh_runbook.__file__).parents[1]
    return unpacked.parent / "tljh-runbook.pyz" if build() else None


def typed() -> str:
    """Return what is typed to run us: our name where the shell finds us by it, else our path."""
    own = Path(sys.argv[0])
    if own.name == "__main__.py":
        return f"{shlex.quote(sys.executable)} -m tljh_runbook"
    if shutil.which(own.name) == str(own):
        return own.name
    here = own.is_relative_to(Path.cwd()) and Path.cwd() != Path("/")
    path = shlex.quote(str(own.relative_to(Path.cwd()) if here else own))
    return f"{_python()} {path}" if own.suffix == ".pyz" else path


def command() -> list[str]:
    """Return what starts us once more: by the same Python, kept apart from users' settings too."""
    return [sys.executable, *_flags(), str(Path(sys.argv[0]).absolute())]


def _python() -> str:
    name = Path(sys.executable).name
    return name if shutil.which(name) == sys.executable else shlex.quote(sys.executable)


def _flags() -> list[str]:
    known = {
        "-I": sys.flags.isolated,
        "-S": sys.flags.no_site,
        "-Xutf8": sys.flags.utf8_mode and sys.flags.isolated,
    }
    return [flag for flag, given in known.items() if given]
