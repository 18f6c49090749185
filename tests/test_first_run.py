"""The script ``./invoke`` makes its environment when it must, and only then."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pythons
import supported

TOP = Path(__file__).parents[1]
MAKING = "Making .venv"


def checkout(folder: Path) -> Path:
    """A checkout that needs next to nothing, so that its environment is soon made."""
    for name in ("invoke", "pyproject.toml"):
        shutil.copy(TOP / name, folder)
    wanted = (TOP / "requirements.txt").read_text(encoding="utf-8").splitlines()
    needed = [line for line in wanted if line.startswith(("invoke==", "uv=="))]
    (folder / "requirements.txt").write_text("\n".join([*needed, ""]), encoding="utf-8")
    return folder


def said(folder: Path, **environment: str) -> str:
    done = subprocess.run(
        ["./invoke", "--version"],
        cwd=folder,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stderr


def test_an_environment_whose_packages_are_not_found_is_made_again(tmp_path: Path) -> None:
    """As after an upgrade of the system, whose new Python looks elsewhere for them."""
    folder = checkout(tmp_path)
    assert MAKING in said(folder)
    assert MAKING not in said(folder)
    [packages] = folder.glob(".venv/lib/python3*/site-packages")
    packages.rename(packages.with_name("of-another-python"))
    assert MAKING in said(folder)
    assert MAKING not in said(folder)


# A Python that says to be of a version which does not exist yet.
FUTURE = """\
#!/bin/sh
exec {python} -c "import sys; sys.version_info = (3, 39, 0, 'final', 0)
$2"
"""


def test_a_newer_python_than_those_of_the_tests_is_taken_and_named(tmp_path: Path) -> None:
    folder = checkout(tmp_path)
    program = folder / "bin" / "python3"
    program.parent.mkdir()
    python = shlex.quote(sys._base_executable)  # type: ignore[attr-defined]
    program.write_text(FUTURE.format(python=python), encoding="utf-8")
    program.chmod(0o755)
    told = said(folder, PATH=f"{program.parent}:{os.environ['PATH']}")
    newest = supported.ENDS[1]
    assert f"tested with Python 3.10 to {newest}, and this is 3.39." in told
    assert MAKING in told


def test_the_tasks_are_listed_on_the_newest_python(tmp_path: Path) -> None:
    """With all requirements, as a reader who types ``./invoke`` in a new checkout."""
    version = supported.ENDS[1]
    path = pythons.found_first(pythons.find(version), tmp_path / "bin")["PATH"]
    for name in ("LICENSE", "README.md", "invoke", "pyproject.toml", "requirements.txt"):
        shutil.copy(TOP / name, tmp_path)
    for name in ("tasks.py", "src"):  # nothing is written into it
        (tmp_path / name).symlink_to(TOP / name)
    done = subprocess.run(
        ["./invoke", "--list"],
        cwd=tmp_path,
        env=os.environ | {"PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "upgrade.verify" in done.stdout
    assert "was tested with Python" not in done.stderr
    assert list(tmp_path.glob(f".venv/lib/python{version}/site-packages/invoke"))
