"""How long the hub, its login page, its services and its users' servers are down meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from typing import Any

from hub import Hub
from machines import until
from visitor import Visitor
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection

from tljh_runbook.hub.servers.probe import Probe, Target
from tljh_runbook.hub.system import http_client

USER = "server of "
SERVICE = "service "
BACK_WITHIN = 300  # seconds


@dataclass(frozen=True)
class Downtime:
    """What was seen during one action; times are in seconds, of which users' is the longest."""

    server: str
    versions: str
    action: str
    seconds: float
    hub: float
    login: float
    services: dict[str, float]
    users: float | None
    """None where no user's server ran."""
    websockets: int
    """How many websockets of users were closed."""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def measured(
    hub: Hub, people: Iterable[Visitor], versions: str, action: str, act: Callable[[], object]
) -> Downtime:
    """Probe the hub ten times a second while ``act`` runs and until the hub has wholly started."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(each.websocket(each.token())) for each in people]
        targets = _targets(hub, people)
        with Probe(targets) as probe:
            begun = time.monotonic()
            act()
            seconds = time.monotonic() - begun
            hub.wait()
            # A hub that has just started adds the routes to users' servers one after the other.
            until(lambda: _all_answer(targets), "the users' servers answer", BACK_WITHIN)
        closed = sum(not _open(each) for each in sockets)
    down = {each.name: round(each.away, 2) for each in probe.outages}
    users = [value for name, value in down.items() if name.startswith(USER)]
    services = {
        name.removeprefix(SERVICE): value
        for name, value in down.items()
        if name.startswith(SERVICE)
    }
    return Downtime(
        *(hub.server.name, versions, action, round(seconds, 1), down["hub"], down["login"]),
        *(services, max(users, default=None), closed),
    )


def _targets(hub: Hub, people: Iterable[Visitor]) -> dict[str, Target]:
    top = hub.address
    found = {"hub": Target(f"{top}/hub/health"), "login": Target(f"{top}/hub/login")}
    for name in hub.services:
        found[f"{SERVICE}{name}"] = Target(f"{top}/services/{name}/", lambda got: got.there)
    for each in people:
        found[f"{USER}{each.name}"] = Target(f"{top}/user/{each.name}/api")
    return found


def _all_answer(targets: dict[str, Target]) -> bool:
    return all(target.there(http_client.get(target.url)) for target in targets.values())


def _open(socket: ClientConnection) -> bool:
    try:
        return socket.ping().wait(timeout=30)
    except ConnectionClosed:
        return False
