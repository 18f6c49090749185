"""The site builds on every supported Python, from requirements.txt alone."""

import os
import shutil
import subprocess
import sys
import zlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LABELS = {"persistence-user-data", "install-ansible", "install-individual-playbook"}


def interpreter(version: str) -> str | None:
    """Return a Python of this version: the running one, pyenv's, or one on the PATH."""
    if version == "{}.{}".format(*sys.version_info[:2]):
        return sys.executable
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    found = [*sorted(map(str, pyenv.glob(f"{version}.*/bin/python"))), f"python{version}"]
    return next((shutil.which(each) for each in found if works(each)), None)


def works(python: str) -> bool:
    try:
        return subprocess.run([python, "-c", ""], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def run(*command: object) -> None:
    done = subprocess.run(
        [str(part) for part in command], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def labels(inventory: Path) -> set[str]:
    """Return the labels in an inventory: four lines of text, then compressed lines."""
    lines = zlib.decompress(inventory.read_bytes().split(b"\n", 4)[4]).decode().splitlines()
    return {line.split()[0] for line in lines if " std:label " in line}


@pytest.mark.parametrize("version", ["3.10", "3.11", "3.12", "3.13"])
def test_the_site_builds_without_a_warning_and_holds_its_labels(
    version: str, tmp_path: Path
) -> None:
    found = interpreter(version)
    if found is None:
        pytest.skip(f"Python {version} is not on this machine")
    python = Path(sys.executable)
    if found != sys.executable:
        python = tmp_path / "environment" / "bin" / "python"
        run(sys.executable, "-m", "uv", "venv", "--python", found, tmp_path / "environment")
        install = ("-m", "uv", "pip", "install", "--python", python, "-r", "requirements.txt")
        run(sys.executable, *install)
    site = tmp_path / "site"
    run(python, "-m", "sphinx", "-q", "-n", "-W", "--keep-going", "-c", ".", "docs", site)
    assert labels(site / "objects.inv") >= LABELS
