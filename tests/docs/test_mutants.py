"""A changed page is found, or the change is one of a value that is another in each run."""

from __future__ import annotations

from pathlib import Path

import pytest
from documented.pages import Block
from documented.transcript import Done
from mutants import CAUGHT, EQUIVALENT, MISSED, Mutant, Shown, judge_command, judge_output, mutants

A, B = "20250101T000000Z", "20260202T000000Z"
BLOCK = Block("upgrade", Path("upgrade.md"), 1, "")


def page(*commands: tuple[list[str], list[str]]) -> list[Shown]:
    """Return a page whose commands show the first and have printed the second."""
    shown = []
    for n, (expected, printed) in enumerate(commands):
        before = {A: B} if n else {}
        shown.append(Shown(BLOCK, Done("true", 0, 1, expected, printed, 0), before))
    return shown


@pytest.mark.parametrize(
    ("line", "made"),
    [("a9", {"b9", "a0", "a10"}), ("z Z", {"a Z", "z A"}), ("-", {"~"}), ("", set())],
)
def test_what_is_changed(line: str, made: set[str]) -> None:
    assert {each.line for each in mutants(line)} == made


@pytest.mark.parametrize(
    ("line", "changed", "verdict"),
    [
        ("5 files", "6 files", CAUGHT),
        ("took 1.5 s", "took 1.6 s", EQUIVALENT),
        ("took 1.5 s", "took 1.5 t", CAUGHT),
        ("<count> files", "<counu> files", CAUGHT),
        (f"made {A}", f"made {A[:-2]}1Z", EQUIVALENT),
        ("at 0eee8c825d24", "at 0eee8c825d25", MISSED),
    ],
)
def test_a_line_alone(line: str, changed: str, verdict: str) -> None:
    printed = line.replace(A, B).replace("<count>", "7")
    at = next(n for n, (a, b) in enumerate(zip(line, changed, strict=True)) if a != b)
    assert judge_output(page(([line], [printed])), 0, 0, Mutant(changed, at)) == verdict


def test_a_name_that_is_mentioned_again() -> None:
    shown = page(([f"made {A}"], [f"made {B}"]), ([f"whole: {A}"], [f"whole: {B}"]))
    assert judge_output(shown, 0, 0, Mutant(f"made {A[:-2]}1Z", 19)) == CAUGHT
    assert judge_output(shown, 1, 0, Mutant(f"whole: {A[:-2]}1Z", 20)) == CAUGHT


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("command", "changed", "verdict"),
    [
        ("invoke backup", "invokf backup", CAUGHT),
        ("invoke backup", "invoke backuq", CAUGHT),
        ("invoke backup.config", "invoke backup.software", CAUGHT),
        ("invoke rollback --yes", "invoke rollback --yet", CAUGHT),
        ("invoke backup", "invoke backup.all", MISSED),
        ("tljh-runbook status --hub /nowhere", "tljh-runbook statut --hub /nowhere", CAUGHT),
        ("tljh-runbook status --hub /nowhere", "tljh-runbook status --hub /nowherf", CAUGHT),
        ("tljh-runbook status --hub /nowhere", "tljh-runbook check --hub /nowhere", MISSED),
    ],
)
def test_a_command(command: str, changed: str, verdict: str) -> None:
    assert judge_command(command, changed) == verdict
