"""One command line of invoke: which hub its tasks work on, and how a plan is carried out."""

from __future__ import annotations

import os
import shlex
import shutil
import stat
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from invoke.exceptions import Exit

from tljh_runbook import errors, hints
from tljh_runbook.guide import inventory
from tljh_runbook.guide.steps import Check, Plan, Run, Step, Target

SANDBOXES = Path(".sandbox")
INTERRUPTED = 130


@dataclass
class Session:
    """Carries plans out against one target; a task before others points it elsewhere for them."""

    target: Target = field(default_factory=Target)
    before: str = ""
    """What stands before a task that works on the sandbox or on the servers that were named."""
    task: str = "status"

    def carry_out(self, step: Step, options: Mapping[str, Any], *, dry: bool) -> None:
        """Run the plan of ``step``; under ``dry`` print its lines and touch nothing."""
        self.task = step.command.partition(" ")[2]
        if self.target.remote and not dry:
            self.servers()
        self.run(step.plan(self.target, **options), dry=dry)

    def servers(self) -> list[str]:
        """Return the servers that are meant. Raises `Exit` when the inventory is not to be used."""
        try:
            _require_ours()
            return inventory.servers(self.target.inventory, self.target.limit)
        except errors.RunbookError as error:
            sys.stderr.write(f"{hints.text(error.message, error.hint)}\n")
            raise Exit(code=error.code) from error

    def run(self, plan: Plan, *, dry: bool) -> None:
        """Run the commands of ``plan`` in turn. Raises `Exit` with the code of one that fails."""
        for command in plan:
            argv = [program(command.argv[0]), *command.argv[1:]]
            if dry:
                print(shlex.join(argv))  # noqa: T201
            else:
                self._carry_out(command, argv)

    def _carry_out(self, command: Run, argv: list[str]) -> None:
        print(f"+ {shlex.join(argv)}", flush=True)  # noqa: T201
        code, interrupted = _code(argv)
        if code == 0:
            return
        if interrupted and command.argv[0] == "ansible-playbook":
            self._say(
                "An upgrade that has started goes on automatically.", "See how: invoke status"
            )
        if interrupted:
            raise Exit(code=INTERRUPTED)
        if code == errors.NoHub.code and not self.target.remote:
            self._point_elsewhere()
        if isinstance(command, Check) and code == command.error.code:
            self._say(command.error.message, command.error.hint)
        raise Exit(code=code)

    def _say(self, message: str, hint: str) -> None:
        bare = shutil.which("invoke") == str(Path(sys.prefix) / "bin" / "invoke")
        typed = f"{'invoke' if bare else './invoke'} {self.before}"
        shown = "\n".join(hints.lines(hint))
        sys.stderr.write(f"{message}\n{shown.replace('invoke ', typed)}\n")

    def _point_elsewhere(self) -> None:
        sys.stderr.write(f"For a hub elsewhere: INVOKE_TLJH_HUB=DIR ./invoke {self.task}\n")
        for found in sorted(SANDBOXES.glob("*/sandbox.json")):
            folder = found.parent
            option = "" if folder.name == "default" else f" --folder {shlex.quote(str(folder))}"
            sys.stderr.write(
                f"A sandbox is up in {folder}. Name it first to work on it: "
                f"./invoke sandbox{option} {self.task}\n"
            )


def _require_ours() -> None:
    """Refuse a folder in which Ansible does not read our settings, and would run with others."""
    if Path.cwd().stat().st_mode & stat.S_IWOTH:
        raise errors.AccessDenied(
            "Every user may write in this folder, so Ansible does not read its ansible.cfg here. "
            "Nothing was started.",
            hint='Take that right away: chmod o-w "$PWD"',
        )


def program(name: str) -> str:
    """Return how ``name`` is typed here: as it is where the shell finds ours, else by its path.

    ``./invoke`` leaves PATH alone, so what it prints must run without the environment's PATH.
    """
    own = Path(sys.prefix) / "bin" / name
    if not own.exists() or shutil.which(name) == str(own):
        return name
    return os.path.relpath(own) if own.is_relative_to(Path.cwd()) else str(own)


def _code(argv: list[str]) -> tuple[int, bool]:
    """Run a command on this terminal; return its exit code, and whether Ctrl-C was typed."""
    process = subprocess.Popen(argv)
    interrupted = False
    while True:
        try:
            code = process.wait()
        except KeyboardInterrupt:
            interrupted = True  # the command got it too, and knows best how to end
            continue
        return (128 - code if code < 0 else code), interrupted
