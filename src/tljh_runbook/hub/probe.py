"""How long the hub and the user servers were away: asked through the proxy, all the time."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from types import TracebackType
from typing import Any

from tljh_runbook.hub import config, web
from tljh_runbook.hub.database import databases, hubdb
from tljh_runbook.hub.source import Source

EVERY = 0.1  # seconds between two questions
TIMEOUT = 2.0  # seconds after which a question counts as not answered


@dataclass
class Outage:
    """What one probe saw. Times are in seconds."""

    name: str
    asked: int = 0
    failed: int = 0
    away: float = 0.0
    _last_answer: float = field(default=0.0, repr=False)
    _missing: bool = field(default=False, repr=False)

    def note(self, moment: float, ok: bool) -> None:
        """Enter one question and whether it was answered.

        Away counts from the last answer before to the first answer after, which is an upper bound.
        """
        self.asked += 1
        if not ok:
            self.failed += 1
            self._missing = True
            return
        if self._missing:
            self.away += moment - self._last_answer
        self._last_answer, self._missing = moment, False

    def close(self, moment: float) -> None:
        """End the measurement: what did not come back was away until now."""
        if self._missing:
            self.away += moment - self._last_answer
            self._last_answer = moment

    def to_json(self) -> dict[str, Any]:
        public = {name: value for name, value in asdict(self).items() if not name.startswith("_")}
        return public | {"away": round(self.away, 2)}


class Probe:
    """Asks each address ten times a second for as long as the context lasts."""

    def __init__(self, targets: Mapping[str, str]) -> None:
        self.outages = [Outage(name) for name in targets]
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._ask, args=(outage, url), daemon=True)
            for outage, url in zip(self.outages, targets.values(), strict=True)
        ]

    def __enter__(self) -> Probe:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _ask(self, outage: Outage, url: str) -> None:
        outage.note(time.monotonic(), True)  # the moment from which a first failure counts
        outage.asked = 0
        while not self._stop.wait(EVERY):
            answer = web.get(url, timeout=TIMEOUT)
            outage.note(time.monotonic(), answer.ok)
        outage.close(time.monotonic())


def targets(source: Source) -> dict[str, str]:
    """Return what is probed: the hub's health page and the API of each running user server."""
    address = config.address(source.hub)
    found = databases.find(source.hub, source.services, source.settings)
    servers = hubdb.servers(found["jupyterhub"])
    return {"hub": address.url("hub/health")} | {
        f"server of {server.label}": address.at(server.api) for server in servers
    }
