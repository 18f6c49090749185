"""Monitoring of a hub during the swap: what can be reached, and when the users' servers end.

The time at which a server ends shows what caused it. While the hub answers, a server may be stopped
by its user or by the culler, or end on its own. While the hub is down, nobody can ask it to stop
one.
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

EVERY = 0.1  # seconds between two checks of the processes
HUB = "hub"  # the probe of the hub itself


@dataclass(frozen=True)
class Seen:
    """What a watch has seen so far; times are in seconds since it started."""

    began: float
    """When it started, in seconds since 1970."""
    down: tuple[tuple[float, float], ...] = ()
    """When the hub was down: from its last answer before to the first one after."""
    ended: dict[str, float] = field(default_factory=dict)
    """When the process of a user server was first found to have ended, by server label."""

    def while_down(self, moment: float | None) -> bool:
        """Return whether the hub was down at this moment, so that nobody could stop a server."""
        return moment is not None and any(begin <= moment <= end for begin, end in self.down)


class Watch(Background):
    """Context manager that probes the targets and monitors the servers' processes."""

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
        """Return the results of the probes for the report.

        For a server that ``servers`` mark as ``left`` (stopped, or ended on its own), only the time
        before that counts: what follows is not downtime.
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
