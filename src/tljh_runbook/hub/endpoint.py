"""Where the hub answers: asked of the running proxy and hub, then read in the configuration.

An administrator may set the address in files that the runbook does not read: a plugin, a file in
`jupyterhub_config.d`, the proxy's own. The kernel knows where the proxy listens whichever file said
so, and the running hub tells its base URL to everybody who asks for `/`.
"""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import urlsplit

from tljh_runbook.hub import config, processes, services, web
from tljh_runbook.hub.address import Socket
from tljh_runbook.hub.config import Address
from tljh_runbook.hub.layout import Hub
from tljh_runbook.hub.services import Services

HUB = "hub/"  # below the base URL: all pages of JupyterHub itself
TIMEOUT = 2.0  # seconds that one candidate may take to answer
LOOPBACK = {"0.0.0.0": "127.0.0.1", "::": "127.0.0.1"}  # noqa: S104 - a socket, as the kernel names it


def of(hub: Hub, manager: Services) -> Address:
    """Return where the hub answers; where it does not answer, where it is configured to.

    Raises `ConfigBroken`.
    """
    configured = config.address(hub)
    configured = replace(configured, base=_base(manager) or configured.base)
    sockets = listening(manager)
    found = _candidates(configured, sockets)
    return next((each for each in found if version(ask(each))), configured)


def listening(manager: Services) -> list[Socket]:
    """Return where the running proxy listens; nothing where it does not run."""
    pid = manager.pid(services.PROXY)
    return processes.listening(pid) if pid else []


def ask(address: Address) -> web.Answer:
    """Ask the hub's API, as anybody may."""
    return web.get(address.url("hub/api/"), timeout=TIMEOUT)


def version(answer: web.Answer) -> str:
    """Return the version that a hub's API names; nothing where something else has answered."""
    try:
        return str(json.loads(answer.body)["version"]) if answer.ok else ""
    except (ValueError, KeyError, TypeError):
        return ""


def _candidates(configured: Address, sockets: list[Socket]) -> Iterator[Address]:
    """Yield where the hub may answer, the likeliest first.

    The configured address is one only if our own proxy listens there: another hub may.
    """
    hosts = {_host(each.host): each for each in sockets if each.port == configured.port}
    if not sockets or configured.host in hosts:
        yield configured
    for each in sorted(sockets, key=lambda it: (it.loopback, it.port)):
        for scheme in ("https", "http") if each.port == 443 else ("http", "https"):
            yield replace(configured, scheme=scheme, host=_host(each.host), port=each.port)


def _host(listens: str) -> str:
    """Return the name under which a socket of this machine is reached from it."""
    host = LOOPBACK.get(listens, listens)
    return f"[{host}]" if ipaddress.ip_address(host).version == 6 else host


def _base(manager: Services) -> str:
    """Return the base URL as the running hub tells it; nothing where it does not.

    Whoever asks JupyterHub itself for a page outside its base URL is sent to the one inside.
    """
    pid = manager.pid(services.HUB)
    for each in processes.listening(pid) if pid else []:
        answer = web.get(f"http://{_host(each.host)}:{each.port}/", timeout=TIMEOUT)
        path = urlsplit(answer.location).path if answer.status in web.MOVED else ""
        if path.endswith(f"/{HUB}"):
            return path.removesuffix(HUB)
    return ""
