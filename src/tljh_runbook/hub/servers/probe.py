"""Downtime of the hub and the user servers, measured by constant requests through the proxy."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from tljh_runbook.hub.context import Source
from tljh_runbook.hub.database import databases, hubdb
from tljh_runbook.hub.health import endpoint
from tljh_runbook.hub.servers.background import Background
from tljh_runbook.hub.system import http_client

EVERY = 0.1  # seconds between two requests
TIMEOUT = 2.0  # seconds after which a request counts as failed
SERVER, SERVICE = "server of ", "service "  # prefixes of the names of such probes


@dataclass(frozen=True)
class Target:
    """An address, and which answers mean that the program behind it is available."""

    url: str
    there: Callable[[http_client.Answer], bool] = lambda answer: answer.ok
    limit: int = http_client.LIMIT
    """How many bytes of an answer to read."""


@dataclass
class Outage:
    """The results of one probe, in seconds; points in time count from the start of the probe."""

    name: str
    asked: int = 0
    failed: int = 0
    gaps: list[tuple[float, float]] = field(default_factory=list)
    """Start and end of each downtime."""
    _last_answer: float = field(default=0.0, repr=False)
    _missing: bool = field(default=False, repr=False)

    @property
    def away(self) -> float:
        """Total downtime, an upper bound."""
        return sum(end - begin for begin, end in self.gaps)

    def note(self, moment: float, ok: bool) -> None:
        """Record one request and whether it was answered.

        Downtime lasts from the last answer before a failure to the first one after it, which is an
        upper bound.
        """
        self.asked += 1
        if not ok:
            self.failed += 1
            self._missing = True
            return
        self.close(moment)
        self._last_answer = moment

    def so_far(self, moment: float) -> list[tuple[float, float]]:
        """Return the gaps, including one that is still open at this ``moment``."""
        return [*self.gaps, (self._last_answer, moment)] if self._missing else list(self.gaps)

    def close(self, moment: float) -> None:
        """Close an open gap; downtime that has not ended counts until the end of the probe."""
        if self._missing:
            self.gaps.append((self._last_answer, moment))
            self._missing = False

    def to_json(self, *, until: float | None = None) -> dict[str, Any]:
        """Return the results as data.

        For a server that was stopped or ended on its own, only the gaps ``until`` then count.
        """
        known = [gap for gap in self.gaps if until is None or gap[1] <= until]
        gaps = [[round(begin, 2), round(end, 2)] for begin, end in known]
        return {
            "name": self.name,
            "asked": self.asked,
            "failed": self.failed,
            # Added up after rounding, so that the gaps shown have the same sum.
            "away": round(sum(end - begin for begin, end in gaps), 2),
            "gaps": gaps,
            "left": until is not None,
        }


class Probe(Background):
    """Context manager that sends a request to each address ten times a second."""

    def __init__(self, targets: Mapping[str, Target]) -> None:
        self.outages = [Outage(name) for name in targets]
        self.began = ""
        """When it started, in UTC."""
        self.seconds = 0.0
        """How long it lasted."""
        self._start = 0.0
        pairs = zip(self.outages, targets.values(), strict=True)
        super().__init__(*(partial(self._ask, *each) for each in pairs))

    def __enter__(self) -> Probe:
        self.began = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        self._start = time.monotonic()
        super().__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        super().__exit__()
        self.seconds = self.now()

    def now(self) -> float:
        """Return how many seconds ago it started."""
        return time.monotonic() - self._start

    def _ask(self, outage: Outage, target: Target, stop: threading.Event) -> None:
        with closing(http_client.Line(target.url, timeout=TIMEOUT, limit=target.limit)) as line:
            while not stop.wait(EVERY):
                there = target.there(line.ask())
                outage.note(self.now(), there)
        outage.close(self.now())


def targets(source: Source) -> dict[str, Target]:
    """Return what to probe: the hub's health page, the proxy, each service, each user server."""
    address = endpoint.found(source)
    found = databases.find(source.hub, source.services, source.settings)["jupyterhub"]
    health = address.url("hub/health")
    return {
        "hub": Target(health),
        "proxy": Target(health, lambda answer: answer.status != 0),  # any answer is from the proxy
        **{
            f"{SERVICE}{name}": Target(address.at(base), lambda answer: answer.there)
            for name, base in hubdb.services(found).items()
        },
        **{
            f"{SERVER}{server.label}": Target(address.at(server.api), limit=http_client.SHORT)
            for server in hubdb.servers(found)
        },
    }
