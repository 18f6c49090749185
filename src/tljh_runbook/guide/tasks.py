"""The invoke tasks: those made from the steps, and those that name what the steps work on."""

from __future__ import annotations

import inspect
import shlex
from pathlib import Path
from typing import Any

from invoke.collection import Collection
from invoke.context import Context
from invoke.tasks import Task

from tljh_runbook.guide import catalog
from tljh_runbook.guide.inventory import USUAL
from tljh_runbook.guide.session import SANDBOXES, Session
from tljh_runbook.guide.steps import Run, Step, Target

DEFAULT_SANDBOX = str(SANDBOXES / "default")


def collection(session: Session | None = None) -> Collection:
    """Return the tasks of all steps, of the sandbox and of the inventory.

    When neither comes before them, the tasks work on the hub that the setting ``tljh.hub`` names
    (in the environment ``INVOKE_TLJH_HUB``), else on the servers in ``hosts``, else on this one.
    """
    session = session or Session()
    root = Collection()
    root.configure({"tljh": {"hub": ""}})
    for step in catalog.every():
        _place(root, step, _task(step, session))
    root.add_collection(_sandbox(session))
    root.add_task(_hosts(session), name="hosts")
    return root


def _place(root: Collection, step: Step, made: Task[Any]) -> None:
    group, _, name = step.name.rpartition(".")
    if not group:
        root.add_task(made, name=step.name)
        return
    if group not in root.collections:
        root.add_collection(Collection(group))
    root.collections[group].add_task(made, name=name, default=step.default)


def _task(step: Step, session: Session) -> Task[Any]:
    def body(c: Context, **options: Any) -> None:
        _aim(session, c)
        session.carry_out(step, options, dry=c.config.run.dry)

    body.__doc__ = step.summary
    # invoke runs tasks of equal name and code once: these have all the same code.
    body.__name__ = step.name
    body.__signature__ = _signature(step)  # type: ignore[attr-defined]
    return Task(body, help=dict(step.options), auto_shortflags=False)


def _signature(step: Step) -> inspect.Signature:
    """Return what invoke is to read options from: those of its plan, behind the context."""
    taken = inspect.signature(step.here).parameters
    first = inspect.Parameter("c", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return inspect.Signature([first, *(taken[name] for name in step.options)])


def _aim(session: Session, c: Context) -> None:
    """Choose what to work on, unless a sandbox or an inventory was named before."""
    if session.target != Target():
        return
    if c.config.tljh.hub:
        session.target = Target(hub=c.config.tljh.hub)
    elif Path(USUAL).exists():
        session.target = Target(inventory=USUAL)


def _hosts(session: Session) -> Task[Any]:
    words = {
        "limit": "Only the servers that this pattern means: a name, a group, or both with commas.",
        "inventory": "The inventory's file, instead of hosts at the top of the checkout.",
    }

    def hosts(c: Context, limit: str = "", inventory: str = USUAL) -> None:
        """Name the servers of an inventory; later tasks work on them, one after the other."""
        file = "" if inventory == USUAL else f" --inventory {shlex.quote(inventory)}"
        session.before = f"hosts{file}{f' --limit {shlex.quote(limit)}' if limit else ''} "
        session.target = Target(inventory=inventory, limit=limit)
        if not c.config.run.dry:
            print(f"{inventory}: {', '.join(session.servers())}", flush=True)  # noqa: T201

    return Task(hosts, help=words, auto_shortflags=False)


def _sandbox(session: Session) -> Collection:
    words = {"folder": "The sandbox's folder; several may run side by side."}

    def up(c: Context, folder: str = DEFAULT_SANDBOX) -> None:
        """Start a real small hub in a folder, or use the running one; later tasks work on it."""
        session.before = f"sandbox{_option(folder)} "
        session.run([_python(*_up(folder))], dry=c.config.run.dry)
        session.target = Target(hub=str(Path(folder).absolute() / "opt" / "tljh"))

    def status(c: Context, folder: str = DEFAULT_SANDBOX) -> None:
        """Show a sandbox: its address, a login, its processes."""
        session.run([_python("status", folder)], dry=c.config.run.dry)

    def down(c: Context, folder: str = DEFAULT_SANDBOX) -> None:
        """Stop a sandbox and remove its folder; nothing is left behind."""
        session.run([_python("down", folder)], dry=c.config.run.dry)

    made = Collection("sandbox")
    made.add_task(Task(up, help=words), default=True)
    made.add_task(Task(status, help=words))
    made.add_task(Task(down, help=words))
    return made


def _up(folder: str) -> tuple[str, ...]:
    return ("up", folder, "--take-down", f"./invoke sandbox.down{_option(folder)}")


def _option(folder: str) -> str:
    return "" if folder == DEFAULT_SANDBOX else f" --folder {shlex.quote(folder)}"


def _python(*arguments: str) -> Run:
    return Run(("python", "-m", "tljh_runbook.sandbox", *arguments))
