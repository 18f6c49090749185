"""The git repositories from which a sandbox installs its fakes.

The author and dates are fixed, so that the same files make the same commits on every machine.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tljh_runbook.errors import SandboxFailed, ToolMissing
from tljh_runbook.sandbox.layout import FAKES, Layout
from tljh_runbook.sandbox.processes import environment

HISTORY = {"tljh": ["1.0.0", "2.0.0"], "plasma": ["older", "newer"]}
# Ignore the user's git configuration: no signing, no hooks, no line ending conversion.
FIXED = {
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_NAME": "Sandbox",
    "GIT_AUTHOR_EMAIL": "sandbox@localhost",
    "GIT_COMMITTER_NAME": "Sandbox",
    "GIT_COMMITTER_EMAIL": "sandbox@localhost",
}


def build(layout: Layout, over: Path | None = None) -> dict[str, str]:
    """Create the repositories; return the commit of each release, by tag.

    ``over`` is a directory with fakes for another kind of server, copied over ours.
    Raises ToolMissing if git is not installed.
    """
    if shutil.which("git") is None:
        raise ToolMissing(
            "git is not installed; a sandbox installs its fakes from git repositories.",
            hint="Type: sudo apt-get install git",
        )
    return {tag: commit for name in HISTORY for tag, commit in _build(layout, name, over)}


def _build(layout: Layout, name: str, over: Path | None) -> Iterator[tuple[str, str]]:
    repository = layout.repositories / name
    repository.mkdir(parents=True)
    git(layout, repository, "init", "--quiet", "--template=", "--initial-branch=main")
    for day, release in enumerate(HISTORY[name], start=1):
        for part in ("common", release):
            _lay(FAKES / name / part, repository)
        if over:
            _lay(over / name, repository)
        commit = record(layout, name, release, day)
        git(layout, repository, "tag", release)
        yield release, commit


def record(layout: Layout, name: str, release: str, day: int) -> str:
    """Commit a repository's work tree, dated a ``day`` in January 2025; return the commit."""
    repository = layout.repositories / name
    date = f"2025-01-{day:02}T12:00:00+00:00"
    git(layout, repository, "add", "--all")
    git(layout, repository, "commit", "--quiet", f"--message={name} {release}", date=date)
    return git(layout, repository, "rev-parse", "HEAD")


def _lay(source: Path, target: Path) -> None:
    shutil.copytree(
        source,
        target,
        dirs_exist_ok=True,
        ignore=shutil.ignore_patterns("__pycache__"),
        copy_function=shutil.copyfile,  # contents only: modes are part of a commit
    )


def git(layout: Layout, repository: Path, *arguments: str, date: str = "") -> str:
    """Run git without the user's configuration; return its output. Raises SandboxFailed."""
    dates = {"GIT_AUTHOR_DATE": date, "GIT_COMMITTER_DATE": date} if date else {}
    done = subprocess.run(
        ["git", "-C", repository, *arguments],
        env={**environment(layout), **FIXED, **dates},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SandboxFailed(
            f"git {arguments[0]} failed: {done.stderr.strip()}",
            hint="Is the disk full, or the folder read-only? Then take the sandbox down, and up.",
        )
    return done.stdout.strip()
