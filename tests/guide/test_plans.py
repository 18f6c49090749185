"""What each step runs, against a file that a person has read.

``ACCEPT_PLANS=1 pytest tests/guide/test_plans.py`` writes the files again; read the difference.
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
from tljh_runbook.guide.steps import CHANGES_NOTHING, NOTHING_TO_UNDO, Step, Target
from tljh_runbook.hub.core import yaml

ROOT = Path(__file__).parents[2]
GOLDEN = Path(__file__).parent / "golden"
STEPS = pytest.mark.parametrize("step", catalog.every(), ids=lambda step: step.name)


TARGETS = {"here": Target(), "hosts": Target(inventory="hosts")}


def text(step: Step) -> str:
    """Return the plan for this machine, and behind an empty line the one for servers."""
    plans = ("".join(f"{each.line}\n" for each in step.plan(TARGETS[name])) for name in TARGETS)
    return "\n".join(plans)


@STEPS
def test_plan(step: Step) -> None:
    file = GOLDEN / f"{step.name}.txt"
    if os.environ.get("ACCEPT_PLANS"):
        file.write_text(text(step), encoding="utf-8")
    assert text(step) == file.read_text(encoding="utf-8")


def test_no_file_without_a_step() -> None:
    assert {file.stem for file in GOLDEN.iterdir()} == {step.name for step in catalog.every()}


@STEPS
def test_servers_are_one_line(step: Step) -> None:
    """One playbook a task, that is there; it names the inventory, and the limit when one is set."""
    target = Target(inventory="my hosts", limit="hub1,hub2")
    (command,) = step.plan(target)
    *argv, file = command.argv
    assert argv[:5] == ["ansible-playbook", "-i", "my hosts", "--limit", "hub1,hub2"]
    assert (ROOT / file).is_file()


@pytest.mark.parametrize("name", ["backup", "upgrade", "rollback", "restore", "security"])
def test_a_playbook_does_by_itself_what_the_step_does_here(name: str) -> None:
    """So the line for servers needs no variable, and a plan stands in one place to be read."""
    step = catalog.find(name)
    plays = yaml.parse((ROOT / "src/tljh_runbook/playbooks" / f"{name}.yml").read_text("utf-8"))
    assert plays[0]["vars"]["run_usual"] == [each.asked for each in step.plan(Target())]


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
    assert f"localhost: failed: There is no TLJH hub at {hub}" in done.stderr
    assert done.returncode == NoHub.code


@STEPS
def test_every_text_is_there(step: Step) -> None:
    assert all([step.title, step.prose, step.why, step.changes, step.check, step.undo, step.fails])
    assert step.summary.endswith(".")


@STEPS
def test_a_step_that_changes_nothing_says_that_nothing_is_to_be_undone(step: Step) -> None:
    assert (step.changes == CHANGES_NOTHING) <= (step.undo == NOTHING_TO_UNDO)
