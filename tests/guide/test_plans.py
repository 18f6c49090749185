"""What each step runs, against a file that a person has read.

``ACCEPT_PLANS=1 pytest tests/guide/test_plans.py`` writes the files anew; read the difference.
"""

from __future__ import annotations

import os
import shlex
from pathlib import Path

import pytest

from tljh_runbook.guide import catalog
from tljh_runbook.guide.steps import Step, Target

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


@STEPS
def test_every_text_is_there(step: Step) -> None:
    assert all([step.title, step.prose, step.check, step.undo])
    assert step.summary.endswith(".")
