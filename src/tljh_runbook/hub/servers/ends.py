"""Why a user server has ended: what systemd, Docker, the hub, the kernel and itself have recorded.

Of a plain process there are only its own last words, and the kernel's where it ran out of memory.
The end of one of which there is neither, while the hub is down, counts as ours.
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

# What systemd writes into its journal (sd-messages.h).
STOPPING = "de5b426a63be47a7b6ac3eaac82e2f6f"  # a job to stop the unit has started
OUT_OF_MEMORY = "fe6faa94e7774663a0da52717891d8ef"
EXITED = "98e322203f7a4ed290d09fe03c09fe15"  # its main process
SUCCEEDED = "7ad2d189f7e94e70a38c781354912448"  # the unit is no longer active
LINES = 5000  # of the hub's log that are read
WAIT = 20.0  # seconds that the journal may take to answer
STOPS = {"2", "3", "9", "15"}  # signals that are meant to end a process
# What JupyterHub writes at its start of a server that it gives up, with the server's name.
GIVEN_UP = (
    " does not appear to be running at ",
    "Failed to poll spawner for ",
    "Failed to cleanup ",
)
# What it writes first of all, and when it is asked to stop a server, with the server's address.
STARTS = "Running JupyterHub version"
STOPS_SERVER = re.compile(r"\] Removing user .* from proxy \(.*?/user/(.+)\)$")
# What the kernel writes when it kills a process for want of memory: "Memory cgroup" where its own
# limit was reached, nothing before "Out" where the server as a whole had none left.
KILLED = re.compile(r"(Memory cgroup out|Out) of memory: Kill(?:ed)? process (\d+) \(")
# What Jupyter Server writes when it ends, but not when a signal ends it.
LAST_WORDS = {
    "Shutting down on /api/shutdown request": "its user shut it down",
    " seconds; shutting down.": "it had no kernels",
}


def own(server: dict[str, Any], manager: Services, since: float) -> str:
    """Say how a server ended on its own; nothing where it did not, or where nobody knows.

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
    """Read what a server itself has written."""
    found = (told for line in lines for words, told in LAST_WORDS.items() if words in line)
    return next(found, "")


def of_container(events: Iterable[dict[str, Any]]) -> str:
    """Read Docker's events: a container that is stopped is sent a signal before it dies."""
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
    """Read what systemd wrote of a unit: one that is stopped has a job for it first."""
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
    """Read what the kernel wrote: whether it killed a process that reached its own limit of memory.

    False where the server as a whole had no memory left: the upgrade may have taken it. None where
    the kernel did not kill the process. systemd and Docker do not tell the two apart, and with
    control groups of version 1 systemd is not told at all.
    """
    found = (killed for line in lines if (killed := KILLED.search(line)))
    own = [killed[1].startswith("Memory") for killed in found if int(killed[2]) == pid]
    return own[-1] if own else None


def said_by_hub(manager: Services, since: float) -> tuple[set[str], set[str]]:
    """Return which servers, by label, the hub says that it has given up or was stopping.

    JupyterHub asks every server that its database names when it starts. One that does not answer
    where the hub looks for it is stopped; that is a loss, though the hub itself has done it. One
    that it was asked to stop just before it was itself stopped may end any time later.
    """
    first = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(since))
    lines = hub_log.tail(manager, since, LINES).splitlines()
    # As JupyterHub writes: [W 2026-11-30 16:03:22.123 JupyterHub app:2783] words
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
    """Yield the lines that a process has written since then."""
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
