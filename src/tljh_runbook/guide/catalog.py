"""All steps, found in the modules that define them."""

from __future__ import annotations

from types import ModuleType

from tljh_runbook.errors import StepUnknown
from tljh_runbook.guide import backup, look, restore, rollback, security, setup, upgrade
from tljh_runbook.guide.steps import Step

CHAPTERS = (setup, backup, upgrade, rollback, restore, security, look)


def every() -> tuple[Step, ...]:
    """Return all steps, in the order in which their modules define them."""
    return tuple(step for chapter in CHAPTERS for step in _steps(chapter))


def find(name: str) -> Step:
    """Return the step ``name``; a group's name stands for its default. Raises `StepUnknown`."""
    for step in every():
        if name == step.name or (step.default and name == step.name.partition(".")[0]):
            return step
    raise StepUnknown(
        f"There is no step called {name!r}.",
        hint=f"The steps are: {', '.join(step.name for step in every())}.",
    )


def _steps(module: ModuleType) -> list[Step]:
    return [value for value in vars(module).values() if isinstance(value, Step)]
