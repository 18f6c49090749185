"""A step: one documented action, of which page, task, dry run and tests are made."""

from __future__ import annotations

import inspect
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from tljh_runbook.errors import RunbookError


@dataclass(frozen=True)
class Target:
    """The hub that a plan is for, as it is named on command lines."""

    hub: str = "/opt/tljh"
    inventory: str = "src/tljh_runbook/playbooks/inventory/local.yml"


@dataclass(frozen=True)
class Run:
    """A command line that a reader could type, relative to the root of the checkout."""

    argv: tuple[str, ...]

    @property
    def line(self) -> str:
        """The command as it is typed."""
        return shlex.join(self.argv)


@dataclass(frozen=True)
class Check(Run):
    """A command that must succeed; ``error`` says what it means when it does not."""

    error: RunbookError


Plan = Sequence[Run]


@dataclass(frozen=True)
class Step:
    """One documented action.

    ``prose`` is MyST, written for an operator; its first line is the summary. ``check`` says how
    to see that the step worked, ``undo`` how to take it back. ``options`` explain what ``plan``
    takes besides its target: only whole tasks that a person starts by hand have any, because
    invoke runs a task twice that is called twice with different options.
    """

    name: str
    title: str
    prose: str
    check: str
    undo: str
    plan: Callable[..., Plan]
    file: str
    default: bool = False
    options: Mapping[str, str] = field(default_factory=dict)

    @property
    def summary(self) -> str:
        """The first line of the prose."""
        return self.prose.partition("\n")[0]

    @property
    def command(self) -> str:
        """What is typed to carry the step out; a collection's default goes by its name alone."""
        return f"invoke {self.name.partition('.')[0] if self.default else self.name}"


def step(  # noqa: PLR0913 - each is a part of the page
    name: str,
    title: str,
    *,
    check: str,
    undo: str,
    default: bool = False,
    options: Mapping[str, str] | None = None,
) -> Callable[[Callable[..., Plan]], Step]:
    """Make a step of a function that returns its plan; the docstring is its prose."""

    def make(plan: Callable[..., Plan]) -> Step:
        return Step(
            name=name,
            title=title,
            prose=inspect.getdoc(plan) or "",
            check=check,
            undo=undo,
            plan=plan,
            file=inspect.getfile(plan),
            default=default,
            options=options or {},
        )

    return make
