"""The setting that preserves today's access: never a wider one, because each is tried first."""

from __future__ import annotations

import shlex
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tljh_runbook.hub.context import Source
from tljh_runbook.hub.core import config, copies, files
from tljh_runbook.hub.core.layout import Hub
from tljh_runbook.hub.upgrade import logins
from tljh_runbook.hub.upgrade.logins import Answers, asking
from tljh_runbook.hub.upgrade.stage.stage import Stage

FEW = 10  # users that are typed one by one
SNIPPET = "keep-logins.py"
PLACE = "jupyterhub_config.d/zz-keep-logins.py"  # read last

Try = Callable[[Path], Answers]


@dataclass(frozen=True)
class Remedy:
    """What an administrator types; ``settings`` or ``snippet`` is what it amounts to."""

    commands: tuple[str, ...]
    settings: dict[str, Any] = field(default_factory=dict)
    snippet: str = ""

    def put(self, hub: Hub) -> None:
        """Change settings as the commands would."""
        if self.settings:
            config.put(hub, self.settings)
        if self.snippet:
            files.make_private(hub.config / Path(PLACE).parent)
            files.replace(hub.config / PLACE, self.snippet.encode())


def find(source: Source, made: Stage, before: Answers, after: Answers) -> Remedy | None:
    """Return the first setting with which exactly those may log in who may today; None: none."""
    for remedy in candidates(source, before, after):
        if preserves(before, _tried(source, made, before, remedy)):
            if remedy.snippet:
                files.replace(source.hub.work / SNIPPET, remedy.snippet.encode())
            return remedy
    return None


def foreseen(source: Source, before: Answers) -> tuple[str, ...]:
    """Return what preserves today's access from JupyterHub 5 on, before anything is staged.

    Nothing where it could be wider: only where today's rules let in everyone but banned users, and
    not where nobody can be asked.
    """
    banned = config.read(source.hub).get("users.banned") or []
    refused = [name for name, answer in before.users.items() if answer is False]
    if before.failed or not before.stranger or not {*refused} <= {*banned}:
        return ()
    first = next(candidates(source, before, before))
    return first.commands if first.settings else ()


def preserves(before: Answers, now: Answers) -> bool:
    """Say whether everyone may log in who may today, and nobody else."""
    lost = [name for name in before.allowed if not now.users.get(name)]
    wider = logins.let_in(before, now) or (now.stranger is not False and not before.stranger)
    return not (lost or wider or now.failed)


def candidates(source: Source, before: Answers, after: Answers) -> Iterator[Remedy]:
    """Yield what may preserve it: as the rules of today say, first with ``tljh-config``."""
    name = after.authenticator
    key = "allow_all" if before.stranger else "allow_existing_users"
    if name.isidentifier() and name[0].isupper():  # TLJH takes nothing else for a class
        setting = f"auth.{name}.{key}"
        yield Remedy((f"sudo tljh-config set {setting} true",), {setting: True})
    yield _snippet(source, f"c.{name}.{key} = True\n")
    if before.stranger:
        return
    lost = logins.locked_out(before, after)
    if len(lost) <= FEW and all(_may_be_typed(each) for each in lost):
        typed = tuple(f"sudo tljh-config add-item users.allowed {shlex.quote(n)}" for n in lost)
        allowed = config.read(source.hub).get("users.allowed") or []
        yield Remedy(typed, {"users.allowed": [*allowed, *lost]})
    text = f"c.{name}.allowed_users = {{{', '.join(map(ascii, before.allowed))}}}\n"
    yield _snippet(source, f"{text}c.{name}.allow_existing_users = False\n")


def _may_be_typed(name: str) -> bool:
    """Say whether ``tljh-config`` takes a name as it is: no option, no number, no sign unseen."""
    return name.isprintable() and name[:1].isalpha() and name.lower() not in {"true", "false"}


def _snippet(source: Source, text: str) -> Remedy:
    origin, target = source.hub.work / SNIPPET, source.hub.config / PLACE
    command = f"sudo cp {shlex.quote(str(origin))} {shlex.quote(str(target))}"
    return Remedy((command,), snippet=text)


def _tried(source: Source, made: Stage, before: Answers, remedy: Remedy) -> Answers:
    """Ask the staged version once more, with the remedy in a copy of its settings."""
    with tempfile.TemporaryDirectory(dir=source.hub.work, prefix="remedy-") as name:
        other = Hub(Path(name))
        copies.copy(made.copy.config, other.config)
        remedy.put(other)
        return asking.staged(source, made, before.users, other.config)
