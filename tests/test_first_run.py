"""The script ``./invoke`` makes its environment when it must, and only then."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

TOP = Path(__file__).parents[1]
MAKING = "Making .venv"


def checkout(folder: Path) -> Path:
    """A checkout that needs next to nothing, so that its environment is soon made."""
    shutil.copy(TOP / "invoke", folder)
    wanted = (TOP / "requirements.txt").read_text(encoding="utf-8").splitlines()
    needed = [line for line in wanted if line.startswith(("invoke==", "uv=="))]
    (folder / "requirements.txt").write_text("\n".join([*needed, ""]), encoding="utf-8")
    return folder


def said(folder: Path) -> str:
    done = subprocess.run(
        ["./invoke", "--version"], cwd=folder, capture_output=True, text=True, check=False
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
