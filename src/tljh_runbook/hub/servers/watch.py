"""Watch a hub while it is swapped: who can be reached, and when the users' servers end.

The moments say whose doing an end was. While the hub answers, a server may be stopped by its user,
by the culler, or end on its own. While the hub is down nobody can ask it for that.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tljh_runbook.hub.servers.background import Background
from tljh_runbook.hub.servers.probe import SERVER, Probe, Target
from tljh_runbook.hub.system import processes

EVERY = 0.1  # seconds between two looks at the processes
HUB = "hub"  # the probe of the hub itself


@dataclass(frozen=True)
class Seen:
    """What a watch has seen so far; moments are in seconds since it began."""

    began: float
    """When it began, in seconds since 1970."""
    down: tuple[tuple[float, float], ...] = ()
    """When the hub did not answer: from its last answer before to the first one after."""
    ended: dict[str, float] = field(default_factory=dict)
    """When the process of a user server was seen to have ended, by the server's label."""

    def while_down(self, moment: float | None) -> bool:
        """Say whether at this moment nobody could ask the hub to stop a server."""
        return moment is not None and any(begin <= moment <= end for begin, end in self.down)


class Watch(Background):
    """Probes the targets and follows the servers' processes for as long as the context lasts."""

    def __init__(self, targets: Mapping[str, Target], servers: Mapping[str, Mapping[str, Any]]):
        self.probe = Probe(targets)
        pids = {label: each["pid"] for label, each in servers.items() if each["pid"]}
        self._alive = {label: (pid, processes.started(pid)) for label, pid in pids.items()}
        self._ended: dict[str, float] = {}
        super().__init__(self._follow)

    def __enter__(self) -> Watch:
        self._began = time.time()
        self.probe.__enter__()
        super().__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        super().__exit__()
        self.probe.__exit__()

    def seen(self) -> Seen:
        now = self.probe.now()
        hubs = (each.so_far(now) for each in self.probe.outages if each.name == HUB)
        down = tuple(gap for each in hubs for gap in each)
        return Seen(self._began, down, dict(self._ended))

    def outages(self, servers: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Return what the probes saw, for the report; ``servers`` say which of them were left.

        Of a server that its user has left only what was before counts: that is no downtime.
        """
        found = []
        left = {label for label, each in servers.items() if each.get("left")}
        for each in self.probe.outages:
            label = each.name.removeprefix(SERVER)
            gone = each.name.startswith(SERVER) and label in left
            found.append(each.to_json(until=self._ended.get(label, 0.0) if gone else None))
        return found

    def _follow(self, stop: threading.Event) -> None:
        while not stop.wait(EVERY):
            for label, (pid, started) in list(self._alive.items()):
                if processes.started(pid) != started:
                    self._ended[label] = self.probe.now()
                    del self._alive[label]
