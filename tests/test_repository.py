"""The repository's own files are what they say they are."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
RESOLVED_FROM = ("pyproject.toml", "README.md", "LICENSE", "requirements.in", "requirements.txt")


def run(*command: str, cwd: Path = ROOT) -> str:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_lock_holds_what_the_requirements_ask_for(tmp_path: Path) -> None:
    for name in RESOLVED_FROM:
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "src" / "tljh_runbook").mkdir(parents=True)
    options = ["--universal", "--python-version", "3.10", "--no-annotate", "--quiet"]
    resolve = ["-m", "uv", "pip", "compile", *options, "requirements.in", "-o", "requirements.txt"]
    run(sys.executable, *resolve, cwd=tmp_path)
    assert (tmp_path / "requirements.txt").read_text() == (ROOT / "requirements.txt").read_text()


def test_the_changelog_can_be_made_from_its_fragments() -> None:
    draft = run(
        sys.executable, "-m", "towncrier", "build", "--draft", "--version", "1", "--date", "x"
    )
    for fragment in ROOT.glob("changelog.d/*.md"):
        assert fragment.read_text().strip()[:40] in draft


@pytest.mark.parametrize("workers", [(), ("-n", "1")])
def test_a_run_says_how_many_tests_are_left_to_the_night(workers: tuple[str, ...]) -> None:
    options = ("-q", "-p", "no:cacheprovider", "-m", "not nightly", "--kills=7", *workers)
    command = [sys.executable, "-m", "pytest", *options, "tests/hub/test_faults.py"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == pytest.ExitCode.NO_TESTS_COLLECTED, done.stdout + done.stderr
    assert "7 deselected (nightly): ./invoke test.nightly" in done.stdout.splitlines()
