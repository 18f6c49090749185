"""Activity on a hub: busy kernels and environments that are being built.

A user server lists its kernels to any client with a valid token. Each server has its own token in
the environment of its process, which root can read, so nothing has to be added to the hub. The
token is sent to its own server only.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress

from tljh_runbook.errors import DockerFailed, NotQuiet
from tljh_runbook.hub.context import Source
from tljh_runbook.hub.database import databases, hubdb
from tljh_runbook.hub.health import endpoint, health
from tljh_runbook.hub.images import environments
from tljh_runbook.hub.runs.journal import Journal
from tljh_runbook.hub.servers import running
from tljh_runbook.hub.servers.running import Process
from tljh_runbook.hub.system import docker, http_client, processes
from tljh_runbook.hub.versions import interpreter

EVERY = 5.0  # seconds between two checks
LIMIT = 10.0  # seconds for all answers of one check: users' servers may respond slowly
# Otherwise our own request would count as activity, and idle servers would never be culled.
KERNELS = "api/kernels?no_track_activity=1"
TOKEN, PREFIX = "JUPYTERHUB_API_TOKEN", "JUPYTERHUB_SERVICE_PREFIX"
UNKNOWN = "cannot be asked"


class Window:
    """A wait for a quiet moment, of so many seconds in all; 0 disables it."""

    def __init__(self, source: Source, log: Journal, seconds: float) -> None:
        self._source, self._log, self._seconds = source, log, seconds
        self._deadline: float | None = None

    def wait(self) -> None:
        """Wait until the hub is quiet; the time limit starts at the first call.

        Raises `NotQuiet`, and `HubUnhealthy` if the hub has become unhealthy meanwhile.
        """
        if self._deadline is None:
            self._deadline = time.monotonic() + self._seconds
        told: list[str] = []
        while found := self._found():
            if found != told:
                self._tell(found, first=not told)
                told = found
            if time.monotonic() > self._deadline:
                raise _not_quiet(found, self._seconds)
            time.sleep(min(EVERY, self._seconds))
        # The checks were long ago: after the swap, a hub that was unhealthy before looks like a
        # broken upgrade. A hub without its Python was down before, and the upgrade fixes it.
        if told and not interpreter.gone(self._source.hub):
            health.require(self._source.hub, self._source.services)

    def lasts(self) -> bool:
        """Return whether the hub is still quiet."""
        return not self._found()

    def _found(self) -> list[str]:
        return at_work(self._source) if self._seconds else []

    def _tell(self, found: list[str], *, first: bool) -> None:
        say = self._log.phase if first else self._log.line
        say(f"Wait for a quiet moment: {', '.join(found)}")


def at_work(source: Source) -> list[str]:
    """Return a short description of each activity; empty if the hub is quiet.

    A server that does not answer counts as active: its status is unknown.
    """
    found = databases.find(source.hub, source.services, source.settings)
    address = endpoint.of(source.hub, source.services)
    servers = hubdb.servers(found["jupyterhub"])
    known = running.processes_of(servers, source.services)
    questions = {
        each.label: _question(address.at(each.base), each.base, known[each.label])
        for each in servers
        # A server that has exited is idle, even if the hub has not noticed yet.
        if not (known[each.label].ended and known[each.label].pid)
    }
    told = _asked(questions)
    return [f"{name} ({said})" for name, said in told.items() if said] + _builds(source)


def _question(url: str, base: str, process: Process) -> Callable[[], str]:
    token = _token(base, process.pid) if process.pid else ""

    def ask() -> str:
        # Docker does not know servers in another engine or in a swarm, but those still answer.
        if process.ended and not http_client.get(f"{url}api", limit=http_client.SHORT).ok:
            return ""
        if not token:
            return f"{UNKNOWN}: its own token is not found"
        headers = {"Authorization": f"token {token}"}
        return _said(http_client.get(f"{url}{KERNELS}", headers=headers))

    return ask


def _token(base: str, pid: int) -> str:
    """Return the token of the user server at ``base``; empty if its process has none.

    The PID may have been reused: only a process that serves this path is used.
    """
    for each in processes.children(pid):
        found = processes.environment(each)
        if found.get(PREFIX) == base:
            return found.get(TOKEN, "")
    return ""


def _said(answer: http_client.Answer) -> str:
    """Return what a server's answer means; empty if none of its kernels is busy."""
    if not answer.ok:
        reason = f"HTTP {answer.status}" if answer.status else answer.body
        return f"{UNKNOWN}: {reason}"
    try:
        busy = sum(kernel["execution_state"] == "busy" for kernel in json.loads(answer.body))
    except (ValueError, KeyError, TypeError, RecursionError):
        return f"{UNKNOWN}: it does not answer as Jupyter does"
    return f"{busy} kernel{'' if busy == 1 else 's'} at work" if busy else ""


def _asked(questions: Mapping[str, Callable[[], str]]) -> dict[str, str]:
    """Query all servers in parallel; return the results that arrive within `LIMIT`."""
    found = dict.fromkeys(questions, f"{UNKNOWN}: no answer in {LIMIT:.0f} seconds")

    def ask(name: str) -> None:
        found[name] = questions[name]()

    threads = [threading.Thread(target=ask, args=(name,), daemon=True) for name in questions]
    deadline = time.monotonic() + LIMIT
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    return dict(found)


def _builds(source: Source) -> list[str]:
    """Return the environments being built, according to Docker and the plugin's database."""
    recorded = {each.name for each in environments.records(source) if each.status == "building"}
    with suppress(*docker.AWAY, DockerFailed):
        recorded |= set(docker.builds())
    return [f"the build of {name}" for name in sorted(recorded)]


def _not_quiet(found: list[str], seconds: float) -> NotQuiet:
    return NotQuiet(
        f"Within {seconds / 60:.0f} minutes there was no quiet moment, so the upgrade was not "
        f"begun: {', '.join(found)}. Nothing live was touched.",
        hint="Ask them to stop, or choose another evening. To upgrade while they work, which ends "
        "no kernel but may end a build: tljh-runbook upgrade --when-quiet 0",
    )
