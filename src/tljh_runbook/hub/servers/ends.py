"""Why a user server ended, according to systemd, Docker, the hub, the kernel and its own log.

For a plain process there are only its own last messages, and the kernel's if it ran out of memory.
If there is neither and the hub was down when it ended, it counts as lost because of the upgrade.
"""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import takewhile
from typing import Any
from urllib.parse import unquote

from tljh_runbook.errors import DockerFailed
from tljh_runbook.hub.system import docker, hub_log
from tljh_runbook.hub.system.services import Services

# IDs of messages that systemd writes to its journal (sd-messages.h).
STOPPING = "de5b426a63be47a7b6ac3eaac82e2f6f"  # a job to stop the unit has started
OUT_OF_MEMORY = "fe6faa94e7774663a0da52717891d8ef"
EXITED = "98e322203f7a4ed290d09fe03c09fe15"  # the unit's main process has exited
SUCCEEDED = "7ad2d189f7e94e70a38c781354912448"  # the unit is no longer active
LINES = 5000  # lines of the hub's log to read
WAIT = 20.0  # seconds that journalctl may take
STOPS = {"2", "3", "9", "15"}  # signals that are sent to end a process
# What JupyterHub logs at startup about a server that it gives up, with the server's name.
GIVEN_UP = (
    " does not appear to be running at ",
    "Failed to poll spawner for ",
    "Failed to cleanup ",
)
# What it logs first of all, and when it is asked to stop a server, with the server's address.
STARTS = "Running JupyterHub version"
STOPS_SERVER = re.compile(r"\] Removing user .* from proxy \(.*?/user/(.+)\)$")
# What the kernel logs when it kills a process for lack of memory: "Memory cgroup" if the process
# reached its own limit, nothing before "Out" if the whole machine ran out of memory.
KILLED = re.compile(r"(Memory cgroup out|Out) of memory: Kill(?:ed)? process (\d+) \(")
# What Jupyter Server logs when it ends, unless a signal ends it.
LAST_WORDS = {
    "Shutting down on /api/shutdown request": "its user shut it down",
    " seconds; shutting down.": "it had no kernels",
}


def own(server: dict[str, Any], manager: Services, since: float) -> str:
    """Return how a server ended on its own; '' if it did not, or if that is unknown.

    ``server`` is what `guarantees.servers` has measured, ``since`` is in seconds since 1970.
    """
    limit = reached_its_limit(_kernel(since), server.get("pid"))
    if limit is None:
        return _of_its_keeper(server, manager, since)
    return "ran out of memory" if limit else ""


def _of_its_keeper(server: dict[str, Any], manager: Services, since: float) -> str:
    if server.get("container"):
        with suppress(*docker.AWAY, DockerFailed):
            return of_container(docker.events(server["container"], since))
    elif server.get("unit"):
        return of_unit(_journal(since, f"--unit={server['unit']}.service", "_PID=1"))
    elif server.get("pid"):
        return of_words(_said(server["pid"], manager, since))
    return ""


def of_words(lines: Iterable[str]) -> str:
    """Return how a server ended according to its own log."""
    found = (told for line in lines for words, told in LAST_WORDS.items() if words in line)
    return next(found, "")


def of_container(events: Iterable[dict[str, Any]]) -> str:
    """Return how a container ended on its own, according to Docker's events; '' if it did not.

    A container that is stopped is sent a signal before it dies.
    """
    for event in events:
        about = event.get("Actor", {}).get("Attributes", {})
        if event.get("Action") == "kill" and about.get("signal") in STOPS:
            return ""
        if event.get("Action") == "oom":
            return "ran out of memory"
        if event.get("Action") == "die":
            return f"exited with {about.get('exitCode', '?')}"
    return ""


def of_unit(entries: Iterable[dict[str, Any]]) -> str:
    """Return how a unit ended on its own, according to systemd's journal; '' if it did not.

    A unit that is stopped has a stop job first.
    """
    for entry in entries:
        kind = entry.get("MESSAGE_ID")
        if kind == STOPPING:
            return ""
        if kind == OUT_OF_MEMORY:
            return "ran out of memory"
        if kind == EXITED:
            exited = entry.get("EXIT_CODE") == "exited"
            return f"exited with {entry.get('EXIT_STATUS', '?')}" if exited else ""
        if kind == SUCCEEDED:
            return "exited with 0"
    return ""


def reached_its_limit(lines: Iterable[str], pid: int | None) -> bool | None:
    """Return whether the kernel killed a process because it reached its own memory limit.

    False if the whole machine ran out of memory: the upgrade may have used it up. None if the
    kernel did not kill the process. systemd and Docker do not distinguish the two cases, and with
    cgroup v1 systemd is not notified at all.
    """
    found = (killed for line in lines if (killed := KILLED.search(line)))
    own = [killed[1].startswith("Memory") for killed in found if int(killed[2]) == pid]
    return own[-1] if own else None


def said_by_hub(manager: Services, since: float) -> tuple[set[str], set[str]]:
    """Return the labels of the servers that the hub's log says it gave up or was stopping.

    At startup, JupyterHub checks every server in its database. It stops a server that does not
    answer at the expected address; that counts as a loss, although the hub itself did it. A server
    that the hub was asked to stop just before it was itself stopped may end at any later time.
    """
    first = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(since))
    lines = hub_log.tail(manager, since, LINES).splitlines()
    # JupyterHub's log format: [W 2026-11-30 16:03:22.123 JupyterHub app:2783] message
    told = [line for line in lines if line[3:22] >= first]
    earlier = takewhile(lambda line: STARTS not in line, told)
    return set(_given_up(told)), set(_stopping(earlier))


def _stopping(lines: Iterable[str]) -> Iterator[str]:
    for line in lines:
        if found := STOPS_SERVER.search(line):
            yield unquote(found[1]).strip("/")


def _given_up(lines: Iterable[str]) -> Iterator[str]:
    for line in lines:
        for words in GIVEN_UP:
            before, found, after = line.partition(words)
            if found:
                name = before.rpartition("] ")[2] if words[0] == " " else after.split(" ")[0]
                yield name.rstrip(",").replace(":", "/")


def _said(pid: int, manager: Services, since: float) -> Iterator[str]:
    """Yield the lines that a process has logged since ``since``."""
    if manager.servers_log:
        with suppress(OSError):
            text = manager.servers_log.read_text(encoding="utf-8", errors="replace")
            yield from (line for line in text.splitlines()[-LINES:] if f" {pid}] " in line)
    else:
        yield from (str(each.get("MESSAGE")) for each in _journal(since, f"_PID={pid}"))


def _kernel(since: float) -> Iterator[str]:
    return (str(each.get("MESSAGE")) for each in _journal(since, "_TRANSPORT=kernel"))


def _journal(since: float, *matches: str) -> Iterator[dict[str, Any]]:
    command = ["journalctl", f"--since=@{int(since)}", *matches]
    with suppress(OSError, subprocess.SubprocessError, ValueError):
        done = subprocess.run(
            [*command, "--output=json", "--quiet"],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=WAIT,
            check=True,
        )
        yield from map(json.loads, done.stdout.splitlines())
