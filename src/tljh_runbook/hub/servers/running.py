"""The users' running servers: the process or container of each, and whether it answers."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from tljh_runbook.errors import DockerFailed
from tljh_runbook.hub.context import Source
from tljh_runbook.hub.database import databases, hubdb
from tljh_runbook.hub.health import endpoint
from tljh_runbook.hub.system import docker, http_client, processes
from tljh_runbook.hub.system.docker import Container
from tljh_runbook.hub.system.services import Services

AT_ONCE = 16  # servers that are queried at the same time
DIRECT = 2.0  # seconds that a server may take to answer a request that bypasses the proxy


@dataclass(frozen=True)
class Process:
    """The process of a user server; ``pid`` is None if none was found.

    ``ended`` is true if the system, systemd or Docker says that it is not running.
    """

    pid: int | None
    started: float | str | None
    ended: bool


def measure(source: Source) -> dict[str, Any]:
    """Return each server's process and whether it answers through the proxy, by server label.

    Raises what `databases.find` raises.
    """
    found = databases.find(source.hub, source.services, source.settings)
    address = endpoint.found(source)
    servers = hubdb.servers(found["jupyterhub"])
    known = processes_of(servers, source.services)
    # In parallel, because users' programs may be slow to answer.
    with ThreadPoolExecutor(AT_ONCE) as pool:
        answers = pool.map(
            lambda each: http_client.get(address.at(each.api), limit=http_client.SHORT).ok, servers
        )
        itself = pool.map(_answers_itself, servers)
    return {
        server.label: {
            "pid": known[server.label].pid,
            "started": known[server.label].started,
            "container": _container(server),
            "unit": server.state.get("unit_name"),
            "answers": answer,
            # Whether it answers where it listens, without the proxy.
            "itself": own,
        }
        for server, answer, own in zip(servers, answers, itself, strict=True)
    }


def same(was: dict[str, Any], now: dict[str, Any] | None) -> bool:
    """Return whether a server is still the same process, and still answers if it did before."""
    if now is None or changed(was, now):
        return False
    return bool(now["answers"] or not was["answers"])


def changed(was: dict[str, Any], now: dict[str, Any]) -> bool:
    """Return whether a server runs as another process or container than before."""
    return any(was[name] != now[name] for name in ("pid", "started", "container"))


def processes_of(servers: Collection[hubdb.Server], services: Services) -> dict[str, Process]:
    """Return each server's process, by server label."""
    found = containers(map(_container, servers))
    return {server.label: _process(server, found, services) for server in servers}


def _process(
    server: hubdb.Server, found: dict[str, Container] | None, services: Services
) -> Process:
    """Return a server's process; without one, only its answer counts."""
    container = _container(server)
    running = (found or {}).get(container or "")
    if running:
        return Process(running.pid, running.started, ended=False)
    pid, unit = server.state.get("pid"), server.state.get("unit_name")
    if not pid and unit:  # SystemdSpawner stores only the unit
        pid = services.pid(str(unit))
    if pid:
        started = processes.started(pid)
        return Process(pid, started, ended=started is None)
    answered = unit or (container and found is not None)
    return Process(None, None, ended=bool(answered))


def _container(server: hubdb.Server) -> str | None:
    return server.state.get("object_id") or server.state.get("container_id")


def containers(ids: Iterable[str | None]) -> dict[str, Container] | None:
    """Return the containers among ``ids`` that run, by ID; None if Docker cannot be asked."""
    with suppress(*docker.AWAY, DockerFailed):
        return docker.containers(filter(None, ids))
    return None


def _answers_itself(server: hubdb.Server) -> bool:
    host, _, port = server.at.rpartition(":")
    if not host or port == "0":
        return False
    return http_client.get(
        f"http://{host}:{port}{server.api}", timeout=DIRECT, limit=http_client.SHORT
    ).ok
