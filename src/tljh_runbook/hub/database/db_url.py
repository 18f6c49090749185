"""The database in JupyterHub's configuration, found without running the configuration.

The configuration is Python, and running it would have side effects. So only a literal value is
used; a computed one is reported as unknown.
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
    """The setting in one place; ``url`` is None if it is computed."""

    where: str
    url: str | None


def told(hub: Hub, command_line: list[str]) -> Told | None:
    """Return the effective setting: from the command line, the last file, or ``config.yaml``.

    The first of these that has one counts.
    """
    for word in reversed(command_line):
        for option in OPTIONS:
            if word.startswith(option):
                return Told("the hub's command line", word[len(option) :])
    files = sorted((hub.config / "jupyterhub_config.d").glob("*.py"))
    found = [each for file in files for each in _in_file(file)]
    if found:
        return found[-1]
    # TLJH passes the settings of every class below `auth` to JupyterHub.
    named = None
    with suppress(ConfigBroken):  # JupyterHub cannot read the file either, so it sets nothing
        named = config.read(hub).get(f"auth.JupyterHub.{NAME}")
    return Told(str(hub.config_file), str(named)) if named else None


def _in_file(file: Path) -> Iterator[Told]:
    try:
        data = file.read_bytes()
    except FileNotFoundError:  # a dangling symlink
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
    """Return whether a syntax node refers to the setting, in any form."""
    if isinstance(node, ast.Attribute) and node.attr == NAME:
        return isinstance(node.value, ast.Attribute) and node.value.attr == "JupyterHub"
    if isinstance(node, ast.keyword):
        return node.arg == NAME
    return isinstance(node, ast.Constant) and node.value == NAME
