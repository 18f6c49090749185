"""What each step runs, against a file that a person has read.

``ACCEPT_PLANS=1 pytest tests/guide/test_plans.py`` writes the files anew; read the difference.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tljh_runbook.errors import NoHub
from tljh_runbook.guide import catalog
from tljh_runbook.guide.steps import Step, Target

ROOT = Path(__file__).parents[2]
GOLDEN = Path(__file__).parent / "golden"
STEPS = pytest.mark.parametrize("step", catalog.every(), ids=lambda step: step.name)


def text(step: Step) -> str:
    return "".join(f"{command.line}\n" for command in step.plan(Target()))


@STEPS
def test_plan(step: Step) -> None:
    file = GOLDEN / f"{step.name}.txt"
    if os.environ.get("ACCEPT_PLANS"):
        file.write_text(text(step), encoding="utf-8")
    assert text(step) == file.read_text(encoding="utf-8")


def test_no_file_without_a_step() -> None:
    assert {file.stem for file in GOLDEN.iterdir()} == {step.name for step in catalog.every()}


@STEPS
def test_every_line_names_its_target(step: Step) -> None:
    """Typed by itself, a line does the same: the target is in it, not in the environment."""
    target = Target(hub="/elsewhere/it's here")
    for command in step.plan(target):
        assert any(target.hub in word for word in command.argv)
        assert shlex.split(command.line) == list(command.argv)


@pytest.mark.parametrize("name", ["hub", "my hüb", "it's", 'a "b" = c'])
def test_the_playbook_is_told_the_whole_path(name: str, tmp_path: Path) -> None:
    """Ansible splits NAME=VALUE at blanks: typed literally, the line must still name this hub."""
    hub = tmp_path / name / "opt" / "tljh"
    line = catalog.find("upgrade.run").plan(Target(hub=str(hub)))[0].line
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "-c", line], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert f"There is no TLJH hub at {hub}: " in done.stderr
    assert done.returncode == NoHub.code


@STEPS
def test_every_text_is_there(step: Step) -> None:
    assert all([step.title, step.prose, step.check, step.undo])
    assert step.summary.endswith(".")
