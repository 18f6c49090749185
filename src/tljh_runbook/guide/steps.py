"""A step: one documented action, of which page, task, dry run and tests are made."""

from __future__ import annotations

import inspect
import json
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tljh_runbook.errors import RunbookError

PLAYBOOKS = "src/tljh_runbook/playbooks"
HERE = f"{PLAYBOOKS}/inventory/local.yml"

# What a step says that only looks.
CHANGES_NOTHING = "Nothing."
NOTHING_TO_UNDO = "It changes nothing, so there is nothing to undo."


@dataclass(frozen=True)
class Target:
    """What a plan is for, as command lines name it: a hub here, or the servers of an inventory."""

    hub: str = "/opt/tljh"
    inventory: str = HERE
    limit: str = ""

    @property
    def remote(self) -> bool:
        """Whether the hubs are on servers that an inventory names."""
        return self.inventory != HERE


@dataclass(frozen=True)
class Run:
    """A command line that a reader could type, relative to the root of the checkout.

    ``asks`` is what it has tljh-runbook do on the hub, where it does not type just that itself.
    """

    argv: tuple[str, ...]
    asks: tuple[str, ...] = field(default=(), kw_only=True)

    @property
    def line(self) -> str:
        """The command as it is typed."""
        return shlex.join(self.argv)

    @property
    def is_playbook(self) -> bool:
        """Whether it is a playbook that asks nothing of tljh-runbook: the same for servers."""
        return self.argv[0] == "ansible-playbook" and not self.asks

    @property
    def asked(self) -> list[str]:
        """What tljh-runbook is asked, on whatever hub."""
        return list(self.asks or self.argv[1:-2])  # the last two are --hub and the hub


@dataclass(frozen=True)
class Check(Run):
    """A command that must succeed; ``error`` says what it means when it does not."""

    error: RunbookError


Plan = Sequence[Run]


@dataclass(frozen=True)
class Step:
    """One documented action.

    ``prose`` is MyST, written for an operator; its first line is the summary. ``why`` says in one
    line what it is good for, ``changes`` what is another on the hub afterwards, ``check`` how to
    see that the step worked, ``undo`` how to undo it, ``fails`` what to do when it fails.
    ``by_hand`` is shell that gives the same result without our tool, where there is such.
    ``here`` returns its plan for a hub on this machine. ``options`` explain what it takes besides
    its target: only whole tasks that a person starts by hand have any, because invoke runs a task
    twice that is called twice with different options.
    """

    name: str
    title: str
    prose: str
    why: str
    changes: str
    check: str
    undo: str
    fails: str
    here: Callable[..., Plan]
    file: str
    by_hand: str = ""
    default: bool = False
    options: Mapping[str, str] = field(default_factory=dict)

    def plan(self, target: Target, **options: Any) -> Plan:
        """Return the commands: here as they are, over an inventory one playbook that does them."""
        here = self.here(target, **options)
        if not target.remote or all(command.is_playbook for command in here):
            return here
        return [self._over(target, here)]

    def _over(self, target: Target, here: Plan) -> Run:
        asked = [command.asked for command in here]
        usual = [command.asked for command in self.here(target)] if self.default else []
        variables = {} if asked == usual else {"tljh_run": asked[0]}
        argv = ansible(target, self.playbook, variables)
        checks = [command for command in here if isinstance(command, Check)]
        return Check(argv, checks[0].error) if checks else Run(argv)

    @property
    def playbook(self) -> str:
        """The playbook that carries the step out on servers."""
        group, _, one = self.name.partition(".")
        return group if one else "look"

    @property
    def summary(self) -> str:
        """The first line of the prose."""
        return self.prose.partition("\n")[0]

    @property
    def command(self) -> str:
        """What is typed to carry the step out; a collection's default goes by its name alone."""
        return f"invoke {self.name.partition('.')[0] if self.default else self.name}"


def ansible(
    target: Target, playbook: str, variables: Mapping[str, str | list[str]]
) -> tuple[str, ...]:
    """Return the command line of a playbook, relative to the root of the checkout."""
    limit = ("--limit", target.limit) if target.limit else ()
    given = [word for name, value in variables.items() for word in ("-e", _given(name, value))]
    file = f"{PLAYBOOKS}/{playbook}.yml"
    return ("ansible-playbook", "-i", target.inventory, *limit, *given, file)


def _given(name: str, value: str | list[str]) -> str:
    """Return a variable as Ansible reads it.

    It splits NAME=VALUE at blanks, and a list needs more: what is not plain must be JSON.
    """
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    plain = f"{name}={value}"
    if isinstance(value, str) and shlex.quote(plain) == plain:
        return plain
    return json.dumps({name: value})


def step(  # noqa: PLR0913 - each is a part of the page
    name: str,
    title: str,
    *,
    why: str,
    changes: str,
    check: str,
    undo: str,
    fails: str,
    by_hand: str = "",
    default: bool = False,
    options: Mapping[str, str] | None = None,
) -> Callable[[Callable[..., Plan]], Step]:
    """Make a step of a function that returns its plan; the docstring is its prose."""

    def make(plan: Callable[..., Plan]) -> Step:
        return Step(
            name=name,
            title=title,
            prose=inspect.getdoc(plan) or "",
            why=why,
            changes=changes,
            check=check,
            undo=undo,
            fails=fails,
            here=plan,
            file=inspect.getfile(plan),
            by_hand=inspect.cleandoc(by_hand),
            default=default,
            options=options or {},
        )

    return make
