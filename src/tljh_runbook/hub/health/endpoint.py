"""The hub's address: taken from the running proxy and hub, otherwise from the configuration.

An administrator may set the address in files that the runbook does not read: a plugin, a file in
`jupyterhub_config.d`, the proxy's own file. The kernel knows where the proxy listens, whichever
file configures it, and the running hub reveals its base URL to anyone who requests `/`. If the hub
or the proxy is down, the address comes from the configuration as loaded, and as a last resort from
``config.yaml``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from urllib.parse import urlsplit

from tljh_runbook.hub.context import Source
from tljh_runbook.hub.core import config
from tljh_runbook.hub.core.address import Socket
from tljh_runbook.hub.core.config import Address
from tljh_runbook.hub.core.layout import Hub
from tljh_runbook.hub.health import entry_points, loaded
from tljh_runbook.hub.system import http_client, processes, services
from tljh_runbook.hub.system.services import Services

HUB = "hub/"  # path of JupyterHub's own pages below the base URL
TIMEOUT = 2.0  # seconds that one candidate may take to answer
# Loopback addresses for wildcard sockets: an IPv6 socket accepts IPv4 as well by default.
LOOPBACK = {"0.0.0.0": ["127.0.0.1"], "::": ["127.0.0.1", "::1"]}  # noqa: S104 - as the kernel says


def of(
    hub: Hub, manager: Services, as_loaded: Callable[[Address], Address] = lambda it: it
) -> Address:
    """Return the address where the hub answers, or its configured address if it does not answer.

    ``as_loaded`` corrects the address from ``config.yaml`` if the hub or the proxy does not reveal
    its own. Raises `ConfigBroken`.
    """
    base, sockets = _base(manager), listening(manager)
    configured = config.address(hub)
    configured = configured if base and sockets else as_loaded(configured)
    configured = replace(configured, base=base or configured.base)
    found = _candidates(configured, sockets)
    return next((each for each in found if version(ask(each))), configured)


def found(source: Source) -> Address:
    """Return where the hub answers, or will once it runs, whichever file or plugin sets it.

    Loading the configuration takes seconds, so this is done only if the hub or the proxy is down or
    does not reveal its address. Raises `ConfigBroken`.
    """

    def as_loaded(configured: Address) -> Address:
        base = loaded.present(source).base_url or configured.base
        entry = entry_points.written(source.hub, source.hub.python).get(configured.scheme)
        if not entry:
            return replace(configured, base=base)
        return replace(configured, base=base, host=_hosts(entry)[0], port=entry.port)

    return of(source.hub, source.services, as_loaded)


def listening(manager: Services) -> list[Socket]:
    """Return the sockets that the running proxy listens on; none if it is down."""
    pid = manager.pid(services.PROXY)
    return processes.listening(pid) if pid else []


def ask(address: Address) -> http_client.Answer:
    """Request the hub's API, without logging in."""
    return http_client.get(address.url("hub/api/"), timeout=TIMEOUT)


def version(answer: http_client.Answer) -> str:
    """Return the version from the answer of a hub's API; '' if something else answered."""
    try:
        return str(json.loads(answer.body)["version"]) if answer.ok else ""
    except (ValueError, KeyError, TypeError):
        return ""


def _candidates(configured: Address, sockets: list[Socket]) -> Iterator[Address]:
    """Yield the addresses where the hub may answer, most likely first.

    The configured address is skipped if our proxy is known to listen elsewhere: another hub may be
    using it.
    """
    hosts = {host for each in sockets if each.port == configured.port for host in _hosts(each)}
    if not sockets or configured.host in hosts:
        yield configured
    for each in sorted(sockets, key=lambda it: (it.loopback, it.port)):
        for scheme in ("https", "http") if each.port == 443 else ("http", "https"):
            for host in _hosts(each):
                yield replace(configured, scheme=scheme, host=host, port=each.port)


def _hosts(one: Socket) -> list[str]:
    """Return the hosts by which a socket can be reached from this machine."""
    hosts = LOOPBACK.get(one.host, [one.host])
    return [f"[{it}]" if ":" in it else it for it in hosts]


def _base(manager: Services) -> str:
    """Return the base URL that the running hub reveals; '' if it does not.

    JupyterHub redirects a request for a page outside its base URL to the same page inside it.
    """
    pid = manager.pid(services.HUB)
    sockets = processes.listening(pid) if pid else []
    for host, port in [(host, each.port) for each in sockets for host in _hosts(each)]:
        answer = http_client.get(f"http://{host}:{port}/", timeout=TIMEOUT)
        path = urlsplit(answer.location).path if answer.status in http_client.MOVED else ""
        if path.endswith(f"/{HUB}"):
            return path.removesuffix(HUB)
    return ""
