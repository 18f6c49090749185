"""The setting that preserves the current access; each is tried first, so it never widens access."""

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

FEW = 10  # the maximum number of users to add one by one
SNIPPET = "keep-logins.py"
PLACE = "jupyterhub_config.d/zz-keep-logins.py"  # sorts last, so that JupyterHub reads it last

Try = Callable[[Path], Answers]


@dataclass(frozen=True)
class Remedy:
    """The commands for an administrator to type, and the ``settings`` or ``snippet`` they set."""

    commands: tuple[str, ...]
    settings: dict[str, Any] = field(default_factory=dict)
    snippet: str = ""

    def put(self, hub: Hub) -> None:
        """Change the hub's configuration as the commands would."""
        if self.settings:
            config.put(hub, self.settings)
        if self.snippet:
            files.make_private(hub.config / Path(PLACE).parent)
            files.replace(hub.config / PLACE, self.snippet.encode())


def find(source: Source, made: Stage, before: Answers, after: Answers) -> Remedy | None:
    """Return the first setting that preserves the current access exactly; None if there is none."""
    for remedy in candidates(source, before, after):
        if preserves(before, _tried(source, made, before, remedy)):
            if remedy.snippet:
                files.replace(source.hub.work / SNIPPET, remedy.snippet.encode())
            return remedy
    return None


def foreseen(source: Source, before: Answers) -> tuple[str, ...]:
    """Return the commands that preserve the current access from JupyterHub 5 on, before staging.

    They are given only if the current rules let in everyone except banned users, because otherwise
    they could widen access. They are empty if the authenticator could not be asked.
    """
    banned = config.read(source.hub).get("users.banned") or []
    refused = [name for name, answer in before.users.items() if answer is False]
    if before.failed or not before.stranger or not {*refused} <= {*banned}:
        return ()
    first = next(candidates(source, before, before))
    return first.commands if first.settings else ()


def preserves(before: Answers, now: Answers) -> bool:
    """Return whether the same users may log in as today, and no others."""
    lost = [name for name in before.allowed if not now.users.get(name)]
    wider = logins.let_in(before, now) or (now.stranger is not False and not before.stranger)
    return not (lost or wider or now.failed)


def candidates(source: Source, before: Answers, after: Answers) -> Iterator[Remedy]:
    """Yield the remedies to try: by rule, then by user name; each first with ``tljh-config``."""
    name = after.authenticator
    key = "allow_all" if before.stranger else "allow_existing_users"
    if name.isidentifier() and name[0].isupper():  # TLJH accepts only such names as a class
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
    """Return whether ``tljh-config`` would take a name literally.

    It would not for an option, number or boolean; unprintable characters cannot be typed.
    """
    return name.isprintable() and name[:1].isalpha() and name.lower() not in {"true", "false"}


def _snippet(source: Source, text: str) -> Remedy:
    origin, target = source.hub.work / SNIPPET, source.hub.config / PLACE
    command = f"sudo cp {shlex.quote(str(origin))} {shlex.quote(str(target))}"
    return Remedy((command,), snippet=text)


def _tried(source: Source, made: Stage, before: Answers, remedy: Remedy) -> Answers:
    """Ask the staged version again, with the remedy applied to a copy of its settings."""
    with tempfile.TemporaryDirectory(dir=source.hub.work, prefix="remedy-") as name:
        other = Hub(Path(name))
        copies.copy(made.copy.config, other.config)
        remedy.put(other)
        return asking.staged(source, made, before.users, other.config)
