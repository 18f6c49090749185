"""Who is at work on a hub: kernels that compute, environments that are being built.

A user server tells of its kernels whoever shows it a token that may reach it. Each has one of its
own, in the environment that its process was started with, and root can read that: so nothing has
to be added to the hub. The token goes to the server that it is of, and nowhere else.
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

EVERY = 5.0  # seconds between two looks
LIMIT = 10.0  # seconds for all answers of one look: users' programs answer as slowly as they like
# Else our own question would count as activity, and no idle server would ever be stopped.
KERNELS = "api/kernels?no_track_activity=1"
TOKEN, PREFIX = "JUPYTERHUB_API_TOKEN", "JUPYTERHUB_SERVICE_PREFIX"
UNKNOWN = "cannot be asked"


class Window:
    """Waits for a quiet moment, for so many seconds in all; for none where they are 0."""

    def __init__(self, source: Source, log: Journal, seconds: float) -> None:
        self._source, self._log, self._seconds = source, log, seconds
        self._deadline: float | None = None

    def wait(self) -> None:
        """Return when nobody is at work; the limit counts from the first call.

        Raises `NotQuiet`, and `HubUnhealthy` where the hub has broken meanwhile.
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
        # Long after the checks: a broken hub cannot be told from a broken upgrade. Without its
        # Python it was broken before, and the upgrade is what mends it.
        if told and not interpreter.gone(self._source.hub):
            health.require(self._source.hub, self._source.services)

    def lasts(self) -> bool:
        """Say whether it is a quiet moment still."""
        return not self._found()

    def _found(self) -> list[str]:
        return at_work(self._source) if self._seconds else []

    def _tell(self, found: list[str], *, first: bool) -> None:
        say = self._log.phase if first else self._log.line
        say(f"Wait for a quiet moment: {', '.join(found)}")


def at_work(source: Source) -> list[str]:
    """Return who is at work, in a few words each; nothing where it is quiet.

    A server that does not tell counts: nobody knows.
    """
    found = databases.find(source.hub, source.services, source.settings)
    address = endpoint.of(source.hub, source.services)
    servers = hubdb.servers(found["jupyterhub"])
    known = running.processes_of(servers, source.services)
    questions = {
        each.label: _question(address.at(each.base), each.base, known[each.label])
        for each in servers
        # What has ended is nobody's work, even where the hub has not seen it yet.
        if not (known[each.label].ended and known[each.label].pid)
    }
    told = _asked(questions)
    return [f"{name} ({said})" for name, said in told.items() if said] + _builds(source)


def _question(url: str, base: str, process: Process) -> Callable[[], str]:
    token = _token(base, process.pid) if process.pid else ""

    def ask() -> str:
        # Docker does not know what runs in another engine, or in a swarm: that answers.
        if process.ended and not http_client.get(f"{url}api", limit=http_client.SHORT).ok:
            return ""
        if not token:
            return f"{UNKNOWN}: its own token is not found"
        headers = {"Authorization": f"token {token}"}
        return _said(http_client.get(f"{url}{KERNELS}", headers=headers))

    return ask


def _token(base: str, pid: int) -> str:
    """Return the token of the user server at ``base``; nothing where its process has none.

    The number may be another process's by now: only one that serves this very path is asked.
    """
    for each in processes.children(pid):
        found = processes.environment(each)
        if found.get(PREFIX) == base:
            return found.get(TOKEN, "")
    return ""


def _said(answer: http_client.Answer) -> str:
    """Return what a server's answer means; nothing when none of its kernels computes."""
    if not answer.ok:
        reason = f"HTTP {answer.status}" if answer.status else answer.body
        return f"{UNKNOWN}: {reason}"
    try:
        busy = sum(kernel["execution_state"] == "busy" for kernel in json.loads(answer.body))
    except (ValueError, KeyError, TypeError, RecursionError):
        return f"{UNKNOWN}: it does not answer as Jupyter does"
    return f"{busy} kernel{'' if busy == 1 else 's'} at work" if busy else ""


def _asked(questions: Mapping[str, Callable[[], str]]) -> dict[str, str]:
    """Ask all at once, and return what each has said until the limit."""
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
    """Return the environments that are being built, as Docker and the plugin's database say."""
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
