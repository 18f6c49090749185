"""Is the hub healthy? Never only an open port: a crash-looping hub has one."""

from __future__ import annotations

import time
from dataclasses import dataclass
from urllib.parse import urljoin

from tljh_runbook.errors import ConfigBroken, HubUnhealthy
from tljh_runbook.hub import cause, endpoint, hub_log, services, web
from tljh_runbook.hub.config import Address
from tljh_runbook.hub.layout import Hub
from tljh_runbook.hub.services import Services

PAUSE = 0.5  # seconds between two looks
LOGIN = "hub/login"
FOLLOWED = 5  # redirects between JupyterHub's own pages; a login that works needs two
REFUSED = {401, 403}  # what a login page answers that leaves the login to another program
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
        address = endpoint.of(hub, manager)
    except ConfigBroken:  # for an instant this is so while the installer writes it
        return Look("", (*stopped, f"{hub.config_file} cannot be read"), pid)
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


def _asked(address: Address) -> tuple[str, list[str]]:
    api = endpoint.ask(address)
    version = endpoint.version(api)
    wrong = [] if version else [f"the hub's API answers {_said(api)}"]
    login = _login(address)
    return version, [*wrong, f"the login page {login}"] if login else wrong


def _login(address: Address) -> str:
    """Return what is wrong with the login page; nothing where it can be used.

    An authenticator that sends a visitor elsewhere, or refuses one whom another program has not
    logged in (REMOTE_USER, Shibboleth), has answered, too. Redirects are followed to JupyterHub's
    own pages only: that of an authenticator may log in whoever asks for it.
    """
    own = {address.url(name) for name in ("", "hub/", "hub/home", LOGIN)}
    url = address.url(LOGIN)
    for _ in range(FOLLOWED):
        answer = web.get(url)
        if answer.status not in web.MOVED:
            return "" if answer.ok or answer.status in REFUSED else f"answers {_said(answer)}"
        url = urljoin(url, answer.location)
        if url.partition("?")[0] not in own:
            return ""
    return "leads in a circle"


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
            reason = _reason(manager, after)
            raise HubUnhealthy(
                f"The hub at {hub.prefix} is not healthy after {after:.0f} s: "
                f"{'; '.join([*now.wrong, *again])}.{reason}",
                hint=f"Read the hub's log: {manager.log_line}",
            )
        before = now


def _said(answer: web.Answer) -> str:
    return f"HTTP {answer.status}" if answer.status else f"nothing ({answer.body})"


def _reason(manager: Services, seconds: float) -> str:
    """Return what the hub's log of the last ``seconds`` names as the cause; '' for none."""
    named = cause.known(hub_log.tail(manager, time.time() - seconds - 1))
    return f" Its log says: {named.rstrip('.')}." if named else ""
