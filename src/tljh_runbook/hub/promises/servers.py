"""User servers run on: the same process, with the same start time, answering as before."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from tljh_runbook.errors import DockerFailed
from tljh_runbook.hub import docker, endpoint, processes, web
from tljh_runbook.hub.database import databases, hubdb
from tljh_runbook.hub.docker import Container
from tljh_runbook.hub.services import Services
from tljh_runbook.hub.source import Source


@dataclass(frozen=True)
class Process:
    """The process of a user server; ``pid`` is None where none is found.

    ``ended`` where the system, systemd or Docker says that it does not run.
    """

    pid: int | None
    started: float | str | None
    ended: bool


class Servers:
    name = "user servers"
    vow = "Every user server that ran before runs on as the same process and answers."
    order = 1

    def measure(self, source: Source) -> Any:
        found = databases.find(source.hub, source.services, source.settings)
        address = endpoint.of(source.hub, source.services)
        servers = hubdb.servers(found["jupyterhub"])
        found_processes = processes_of(servers, source.services)
        return {
            server.label: {
                "pid": found_processes[server.label].pid,
                "started": found_processes[server.label].started,
                "container": _container(server),
                "answers": web.get(address.at(server.api)).ok,
            }
            for server in servers
        }

    def judge(self, before: Any, after: Any) -> tuple[bool, str]:
        changed = [f"{name}: {_change(was, after.get(name))}" for name, was in before.items()]
        changed = [each for each in changed if not each.endswith(": ")]
        if changed:
            return False, "; ".join(changed)
        same = [name for name, was in before.items() if was["started"]]
        answer = [name for name in before if name not in same]
        told = f", same process: {', '.join(same)}" if same else ""
        told += f", answering: {', '.join(answer)}" if answer else ""
        return True, f"{len(before)} of {len(before)} run on{told}"


def processes_of(servers: Collection[hubdb.Server], services: Services) -> dict[str, Process]:
    """Return each server's process, by the server's label."""
    containers = _containers(servers)
    return {server.label: _process(server, containers, services) for server in servers}


def _process(
    server: hubdb.Server, containers: dict[str, Container] | None, services: Services
) -> Process:
    """Return a server's process; without one, its answer alone is judged."""
    container = _container(server)
    running = (containers or {}).get(container or "")
    if running:
        return Process(running.pid, running.started, ended=False)
    pid, unit = server.state.get("pid"), server.state.get("unit_name")
    if not pid and unit:  # as SystemdSpawner keeps it
        pid = services.pid(str(unit))
    if pid:
        started = processes.started(pid)
        return Process(pid, started, ended=started is None)
    answered = unit or (container and containers is not None)
    return Process(None, None, ended=bool(answered))


def _container(server: hubdb.Server) -> str | None:
    return server.state.get("object_id") or server.state.get("container_id")


def _containers(servers: Iterable[hubdb.Server]) -> dict[str, Container] | None:
    """Return those of the servers' containers that run; None where Docker does not tell."""
    with suppress(*docker.AWAY, DockerFailed):
        return docker.containers(filter(None, map(_container, servers)))
    return None


def _change(was: dict[str, Any], now: dict[str, Any] | None) -> str:
    if now is None:
        return "no longer known to the hub"
    if was["started"] and now["started"] is None:
        # Of a container it is Docker that tells, and Docker may have stopped telling.
        end = "is not seen any more" if was["container"] else "has ended"
        return f"its process {was['pid']} {end}"
    if was["container"] != now["container"]:
        return "another container"
    if (was["pid"], was["started"]) != (now["pid"], now["started"]):
        return f"restarted (pid {was['pid']}, now {now['pid']})"
    return "does not answer any more" if was["answers"] and not now["answers"] else ""


PROMISE = Servers()
