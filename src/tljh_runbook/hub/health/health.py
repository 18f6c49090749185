"""Health checks of the hub. An open port is not enough: a hub in a crash loop has one, too."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from urllib.parse import urljoin

from tljh_runbook.errors import ConfigBroken, HubUnhealthy
from tljh_runbook.hub.core.config import Address
from tljh_runbook.hub.core.layout import Hub
from tljh_runbook.hub.core.settings.settings_groups import UpgradeSettings
from tljh_runbook.hub.health import endpoint
from tljh_runbook.hub.system import cause, http_client, hub_log, processes, services
from tljh_runbook.hub.system.services import Services

PAUSE = 0.5  # seconds between two checks
LEAST = 2.0  # minimum seconds to watch the services, whatever their uptime
QUICK = 0.1  # seconds between two checks while waiting for the hub
LOGIN = "hub/login"
FOLLOWED = 5  # redirects between JupyterHub's own pages; a working login needs two
REFUSED = {401, 403}  # answers of a login page that leaves the login to another program
LINES = 2000  # lines of the hub's log to read, including one for each request of these checks
CRASHES = 3  # processes after which a hub that is still unhealthy will not recover


@dataclass(frozen=True)
class Look:
    """The result of one health check; ``wrong`` is empty if the hub is healthy."""

    version: str
    wrong: tuple[str, ...]
    pid: int | None

    @property
    def healthy(self) -> bool:
        return not self.wrong


def look(hub: Hub, manager: Services) -> Look:
    """Check both services, and the hub's API and login page through the proxy."""
    pid = manager.pid(services.HUB)
    stopped = [
        f"the service {name} does not run"
        for name in (services.HUB, services.PROXY)
        if not manager.pid(name)
    ]
    try:
        address = endpoint.of(hub, manager)
    except ConfigBroken:  # briefly the case while the installer writes it
        return Look("", (*stopped, f"{hub.config_file} cannot be read"), pid)
    version, wrong = _asked(address)
    return Look(version, (*stopped, *wrong), pid)


def require(hub: Hub, manager: Services) -> Look:
    """Check a hub that has to be healthy now. Raises `HubUnhealthy`."""
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
    """Return what is wrong with the login page; '' if it can be used.

    A redirect by an authenticator to another site counts as available, and so does a refusal
    because another program handles the login (REMOTE_USER, Shibboleth). Redirects are followed to
    JupyterHub's own pages only: an authenticator's page may log in anyone who requests it.
    """
    own = {address.url(name) for name in ("", "hub/", "hub/home", LOGIN)}
    url = address.url(LOGIN)
    for _ in range(FOLLOWED):
        answer = http_client.get(url)
        if answer.status not in http_client.MOVED:
            return "" if answer.ok or answer.status in REFUSED else f"answers {_said(answer)}"
        url = urljoin(url, answer.location)
        if url.partition("?")[0] not in own:
            return ""
    return "leads in a circle"


def wait(
    hub: Hub, manager: Services, seconds: float, first: Callable[[], object] = lambda: None
) -> Look:
    """Wait until the hub is healthy in two consecutive checks, with the same process.

    ``first`` is called once, as soon as the hub is healthy, before anyone can change anything.
    Raises `HubUnhealthy` after ``seconds``, or as soon as the hub has crashed repeatedly.
    """
    start, looked = time.monotonic(), False
    before = look(hub, manager)
    pids = {before.pid}
    while True:
        if before.healthy and not looked:
            first()
            looked = True
        time.sleep(PAUSE if looked else QUICK)
        now = look(hub, manager)
        if now.healthy and before.healthy and now.pid == before.pid:
            return now
        pids |= {now.pid}
        crashes = len(pids - {None}) > CRASHES
        if crashes or time.monotonic() > start + seconds:
            again = [] if now.wrong and not crashes else ["it restarts again and again"]
            raise _unhealthy(hub, manager, start, [*now.wrong, *again])
        before = now


def stay(
    hub: Hub,
    manager: Services,
    settings: UpgradeSettings,
    unsteady: Collection[str] = (),
    waiting_since: float | None = None,
) -> None:
    """Wait until the hub and its services have stayed up for as long as the settings require.

    A hub in a crash loop answers from time to time, and a service that dies takes the hub down with
    it. ``unsteady`` lists services that did not stay up before either. ``waiting_since``, in
    seconds of the monotonic clock, is when the hub was started: its log from then on may name the
    cause. Raises `HubUnhealthy`.
    """
    start, pids, seen = time.monotonic(), set[int | None](), set[str]()
    while True:
        ages = _ages(manager)
        seen |= ages.keys() - set(unsteady)
        # A service that is being restarted has no process for a moment.
        young = sorted(each for each in seen if ages.get(each, 0.0) < settings.healthy_for)
        pids |= {manager.pid(services.HUB)}
        passed = time.monotonic() - start
        steady = not young and passed >= min(LEAST, settings.healthy_for)
        # A hub that was just restarted has a process long before it answers.
        wrong = look(hub, manager).wrong if steady and settings.healthy_for else ()
        if steady and not wrong:
            return
        if len(pids - {None}) > CRASHES or passed > settings.healthy_within:
            again = [f"{each} does not stay up" for each in young]
            raise _unhealthy(hub, manager, waiting_since or start, [*again, *wrong])
        time.sleep(QUICK)


def unsteady(manager: Services, seconds: float) -> list[str]:
    """Return the hub's services that have been up for less than ``seconds``."""
    return [name for name, age in _ages(manager).items() if age < seconds and name != services.HUB]


def _ages(manager: Services) -> dict[str, float]:
    """Return the uptime of the hub and each of its services, in seconds, by name."""
    hub = manager.pid(services.HUB)
    if not hub:
        return {services.HUB: 0.0}
    ages = {services.HUB: processes.age(hub)}
    for pid in processes.children(hub)[1:]:
        # JupyterHub sets this variable for a service; users' servers do not have it.
        name = processes.environment(pid).get("JUPYTERHUB_SERVICE_NAME")
        if name:
            ages[name] = max(processes.age(pid), ages.get(name, 0.0))
    return ages


def _unhealthy(hub: Hub, manager: Services, start: float, wrong: Iterable[str]) -> HubUnhealthy:
    after = time.monotonic() - start
    return HubUnhealthy(
        f"The hub at {hub.prefix} is not healthy after {after:.0f} s: "
        f"{'; '.join(wrong)}.{_reason(manager, after)}",
        hint=f"Read the hub's log: {manager.log_line}",
    )


def _said(answer: http_client.Answer) -> str:
    return f"HTTP {answer.status}" if answer.status else f"nothing ({answer.body})"


def _reason(manager: Services, seconds: float) -> str:
    """Return the cause that the hub's log of the last ``seconds`` names; '' for none."""
    named = cause.known(hub_log.tail(manager, time.time() - seconds - 1, LINES))
    return f" Its log says: {named.rstrip('.')}." if named else ""
