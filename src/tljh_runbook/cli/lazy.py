"""Commands that are imported when they are asked for: each brings much of the hub half."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping, MutableMapping

import click


class Lazy(MutableMapping[str, click.Command]):
    """Commands by name, from the ``COMMANDS`` of the modules beside this one."""

    def __init__(self, modules: Mapping[str, tuple[str, ...]]) -> None:
        """Take the names of the commands, by the module that has them."""
        self._homes = {name: module for module, names in modules.items() for name in names}
        self._known: dict[str, click.Command] = {}

    def __getitem__(self, name: str) -> click.Command:
        if name not in self._known:
            home = importlib.import_module(f"{__package__}.{self._homes[name]}")
            self._known |= {command.name: command for command in home.COMMANDS}
        return self._known[name]

    def __setitem__(self, name: str, command: click.Command) -> None:
        self._homes[name], self._known[name] = "", command

    def __delitem__(self, name: str) -> None:
        del self._homes[name]
        self._known.pop(name, None)

    def __iter__(self) -> Iterator[str]:
        return iter(self._homes)

    def __len__(self) -> int:
        return len(self._homes)
