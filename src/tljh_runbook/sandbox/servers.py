"""The hub of a sandbox and its users' servers, controlled through the REST API."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from typing import Any

from tljh_runbook.errors import SandboxFailed
from tljh_runbook.sandbox.contents import GROUP, databases_ready
from tljh_runbook.sandbox.layout import Layout
from tljh_runbook.sandbox.record import Record

# The users with a running server; carol has not logged in yet.
WORKING = ["alice", "bob"]
# JupyterHub rejects activity an hour or more in the future. The culler adds ten minutes.
AT_WORK = timedelta(minutes=58)
# Ignore proxy variables in the environment: the hub is on this machine.
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def answers(url: str) -> bool:
    """Return whether a URL answers with success."""
    try:
        with _opener.open(url, timeout=5):
            return True
    except OSError:
        return False


def wait(what: str, condition: Callable[[], bool], *, seconds: float, log: str) -> None:
    """Wait until a condition is true; on timeout raise SandboxFailed, which names the log."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise SandboxFailed(
                f"{what} did not come up within {seconds:.0f} seconds.",
                hint=f"Its log says why: {log}",
            )
        time.sleep(0.1)


def wait_for_hub(layout: Layout, record: Record) -> None:
    """Wait until the hub and its services answer through the proxy."""
    log = str(layout.logs / "jupyterhub.log")
    wait("The hub", lambda: answers(f"{record.address}/hub/health"), seconds=120, log=log)
    wait("The hub's services", lambda: databases_ready(layout), seconds=180, log=log)


def start(layout: Layout, record: Record) -> None:
    """Start a server for each user in `WORKING`; those that already run are left alone."""
    with ThreadPoolExecutor() as side_by_side:
        list(side_by_side.map(lambda user: _start(layout, record, user), WORKING))
    log = str(layout.logs / "jupyterhub.log")
    wait("A user's server", lambda: _ready(layout, record), seconds=180, log=log)
    for user in WORKING:
        work(layout, record, user)


def work(layout: Layout, record: Record, user: str) -> None:
    """Report a user as active for the next hour; otherwise the culler stops the server."""
    until = {"last_activity": (datetime.now(timezone.utc) + AT_WORK).isoformat()}
    _call(layout, record, "POST", f"users/{user}/activity", {**until, "servers": {"": until}})


def _start(layout: Layout, record: Record, user: str) -> None:
    _call(layout, record, "POST", f"users/{user}/server")


def _ready(layout: Layout, record: Record) -> bool:
    pages = [f"{record.address}/user/{user}/api" for user in WORKING]
    return set(WORKING) <= set(process_ids(layout, record)) and all(map(answers, pages))


def group(layout: Layout, record: Record) -> None:
    """Create the hub's group and add the users in `WORKING` to it."""
    _call(layout, record, "POST", f"groups/{GROUP}")
    _call(layout, record, "POST", f"groups/{GROUP}/users", {"users": WORKING})


def process_ids(layout: Layout, record: Record) -> dict[str, int]:
    """Return the process id of each running user server, by user; empty while the hub is down."""
    try:
        users = _call(layout, record, "GET", "users?include_stopped_servers=1") or []
    except SandboxFailed:
        return {}
    servers = {user["name"]: user["servers"].get("", {}) for user in users}
    return {name: one["state"]["pid"] for name, one in servers.items() if one.get("ready")}


def _call(layout: Layout, record: Record, method: str, path: str, body: object = None) -> Any:
    """Call the REST API; 400 and 409 mean that the change was already made."""
    request = urllib.request.Request(  # noqa: S310 - an address of our own
        f"{record.address}/hub/api/{path}",
        method=method,
        data=None if method == "GET" else json.dumps(body or {}).encode(),
        headers={"Authorization": f"token {layout.token.read_text(encoding='utf-8').strip()}"},
    )
    try:
        with _opener.open(request, timeout=60) as answer:
            return json.loads(answer.read() or b"null")
    except urllib.error.HTTPError as error:
        if error.code in (400, 409):
            return None
        raise _refused(layout, f"{method} {path}: {error}") from error
    except OSError as error:
        raise _refused(layout, f"{method} {path}: {error}") from error


def _refused(layout: Layout, what: str) -> SandboxFailed:
    return SandboxFailed(
        f"The hub did not do what was asked of it: {what}.",
        hint=f"Its log says why: {layout.logs / 'jupyterhub.log'}",
    )
