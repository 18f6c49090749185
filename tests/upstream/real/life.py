"""A hub in use: its server, who may log in, who works on it, and what they made."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from downtime import Downtime, measured
from hub import Hub
from real import Real
from visitor import Visitor


@dataclass
class Life:
    """The hub of one story."""

    real: Real
    people: tuple[str, ...]
    """Everyone who can log in; the first one is an admin."""
    busy: tuple[str, ...]
    """Who has a server that runs."""
    note: str
    """A file of the first of them."""
    upgrade: str
    """From which versions to which."""
    target: Mapping[str, str]
    """With what each version begins after the upgrade."""
    spawn: Mapping[str, str] = field(default_factory=dict)
    """What users choose when they start a server."""
    inspect: Callable[[], None] = field(default=lambda: None)
    """Fails where something is missing that the administrator made."""
    add: Callable[[Downtime], None] = field(default=lambda _: None)
    """Where each downtime is noted."""

    @property
    def hub(self) -> Hub:
        return self.real.hub

    @property
    def home(self) -> str:
        """The home of the first who works."""
        return self.note.rpartition("/")[0]

    def log_in(self) -> None:
        """Log every person in. Fails with the names of those who cannot."""
        refused = [name for name in self.people if not self.can_log_in(name)]
        assert not refused, f"cannot log in: {', '.join(refused)}"

    def can_log_in(self, name: str) -> bool:
        """Say whether a person can log in."""
        try:
            self.hub.visitor(name)
        except AssertionError:
            return False
        return True

    def work(self) -> list[Visitor]:
        """Let those who work have a server, and return them."""
        return [self.hub.work(name, **self.spawn) for name in self.busy]

    def processes(self) -> dict[str, Any]:
        """Return the processes of users' servers, by unit or container."""
        units = {
            name: pid
            for name, pid in self.real.processes().items()
            if name.startswith("jupyter-") and pid != "0"
        }
        if self.real.server.tried("test", "-S", "/run/docker.sock").returncode:
            return units
        return {**units, **self.real.server.containers()}

    def do(self, action: str, *words: str, versions: str = "") -> Any:
        """Run the tool while the downtime is measured; return its answer as data."""
        found: list[Any] = []
        people = self.work()
        cost = measured(
            *(self.hub, people, versions or self.upgrade, action),
            lambda: found.append(self.real.tool(*words)),
        )
        self.add(cost)
        return found[0]
