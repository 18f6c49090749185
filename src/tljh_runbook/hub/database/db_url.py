"""Which database JupyterHub's configuration names, read without running it.

The configuration is Python, and running it would start what it starts.  So only what is written
out is believed; what is computed is said to be unknown.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tljh_runbook.errors import ConfigBroken
from tljh_runbook.hub.core import config
from tljh_runbook.hub.core.layout import Hub

NAME = "db_url"
OPTIONS = ("--db=", "--JupyterHub.db_url=")


@dataclass(frozen=True)
class Told:
    """What one place says: ``url`` is None where it is computed."""

    where: str
    url: str | None


def told(hub: Hub, command_line: list[str]) -> Told | None:
    """Return what counts: the command line, else the last file, else ``config.yaml``."""
    for word in reversed(command_line):
        for option in OPTIONS:
            if word.startswith(option):
                return Told("the hub's command line", word[len(option) :])
    files = sorted((hub.config / "jupyterhub_config.d").glob("*.py"))
    found = [each for file in files for each in _in_file(file)]
    if found:
        return found[-1]
    # TLJH hands on every class that stands below `auth`.
    named = None
    with suppress(ConfigBroken):  # what JupyterHub cannot read either names nothing
        named = config.read(hub).get(f"auth.JupyterHub.{NAME}")
    return Told(str(hub.config_file), str(named)) if named else None


def _in_file(file: Path) -> Iterator[Told]:
    try:
        data = file.read_bytes()
    except FileNotFoundError:  # a link that leads nowhere
        return
    if NAME.encode() not in data:
        return
    try:
        tree = ast.parse(data)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        yield Told(str(file), None)
        return
    plain = {target: text for node in tree.body for target, text in _assigned(node)}
    for node in ast.walk(tree):
        if _names(node):
            yield Told(f"{file}, line {getattr(node, 'lineno', 1)}", plain.get(node))


def _assigned(node: ast.stmt) -> Iterator[tuple[ast.AST, str]]:
    if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant):
        for target in node.targets:
            if isinstance(node.value.value, str):
                yield target, node.value.value


def _names(node: ast.AST) -> bool:
    """Say whether a piece of a program means the setting, in whatever way."""
    if isinstance(node, ast.Attribute) and node.attr == NAME:
        return isinstance(node.value, ast.Attribute) and node.value.attr == "JupyterHub"
    if isinstance(node, ast.keyword):
        return node.arg == NAME
    return isinstance(node, ast.Constant) and node.value == NAME
