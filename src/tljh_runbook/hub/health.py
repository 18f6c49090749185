"""Is the hub healthy? Never only an open port: a crash-looping hub has one."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass

from tljh_runbook.errors import ConfigBroken, HubUnhealthy
from tljh_runbook.hub import config, services, web
from tljh_runbook.hub.layout import Hub
from tljh_runbook.hub.services import Services

PAUSE = 0.5  # seconds between two looks
CRASHES = 3  # processes after which a hub that is still not healthy will not become it


@dataclass(frozen=True)
class Look:
    """One look at a hub; ``wrong`` is empty when it is healthy."""

    version: str
    wrong: tuple[str, ...]
    pid: int | None

    @property
    def healthy(self) -> bool:
        return not self.wrong


def look(hub: Hub, manager: Services) -> Look:
    """Ask both services, the hub's API and its login page, all through the proxy."""
    pid = manager.pid(services.HUB)
    stopped = [
        f"the service {name} does not run"
        for name in (services.HUB, services.PROXY)
        if not manager.pid(name)
    ]
    try:
        address = config.address(hub)
    except ConfigBroken as error:  # for an instant this is so while the installer writes it
        return Look("", (*stopped, error.message), pid)
    version, wrong = _asked(address)
    return Look(version, (*stopped, *wrong), pid)


def require(hub: Hub, manager: Services) -> Look:
    """Look at a hub that is to be healthy now. Raises `HubUnhealthy`."""
    seen = look(hub, manager)
    if not seen.healthy:
        raise HubUnhealthy(
            f"The hub is not healthy: {'; '.join(seen.wrong)}. Nothing was changed.",
            hint="Bring it back first: an upgrade of a broken hub cannot be told from a broken "
            f"upgrade. Read the hub's log: {manager.log_line}",
        )
    return seen


def _asked(address: config.Address) -> tuple[str, list[str]]:
    api, login = web.get(address.url("hub/api/")), web.get(address.url("hub/login"))
    version = _version(api)
    wrong = [] if version else [f"the hub's API answers {_said(api)}"]
    # A single sign-on authenticator sends the visitor elsewhere: that is an answer, too.
    if not (login.ok or 300 <= login.status < 400):
        wrong.append(f"the login page answers {_said(login)}")
    return version, wrong


def wait(hub: Hub, manager: Services, seconds: float) -> Look:
    """Wait until the hub is healthy and stays it, twice in a row with the same process.

    Raises `HubUnhealthy` after ``seconds``, and as soon as it has crashed again and again.
    """
    start = time.monotonic()
    before = look(hub, manager)
    pids = {before.pid}
    while True:
        time.sleep(PAUSE)
        now = look(hub, manager)
        if now.healthy and before.healthy and now.pid == before.pid:
            return now
        pids |= {now.pid}
        crashes = len(pids - {None}) > CRASHES
        if crashes or time.monotonic() > start + seconds:
            again = [] if now.wrong and not crashes else ["it restarts again and again"]
            after = time.monotonic() - start
            raise HubUnhealthy(
                f"The hub at {hub.prefix} is not healthy after {after:.0f} s: "
                f"{'; '.join([*now.wrong, *again])}.",
                hint=f"Read the hub's log: {manager.log_line}",
            )
        before = now


def _version(answer: web.Answer) -> str:
    try:
        return str(json.loads(answer.body)["version"]) if answer.ok else ""
    except (ValueError, KeyError, TypeError):
        return ""


def _said(answer: web.Answer) -> str:
    return f"HTTP {answer.status}" if answer.status else f"nothing ({answer.body})"
