"""Where the hub answers: asked of the running proxy and hub, then read in the configuration.

An administrator may set the address in files that the runbook does not read: a plugin, a file in
`jupyterhub_config.d`, the proxy's own. The kernel knows where the proxy listens whichever file said
so, and the running hub tells its base URL to everybody who asks for `/`. Of what does not run, the
configuration as it loads tells it, and last of all ``config.yaml``.
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

HUB = "hub/"  # below the base URL: all pages of JupyterHub itself
TIMEOUT = 2.0  # seconds that one candidate may take to answer
# How to reach what listens everywhere: a socket of IPv6 takes IPv4, too, unless told otherwise.
LOOPBACK = {"0.0.0.0": ["127.0.0.1"], "::": ["127.0.0.1", "::1"]}  # noqa: S104 - as the kernel says


def of(
    hub: Hub, manager: Services, as_loaded: Callable[[Address], Address] = lambda it: it
) -> Address:
    """Return where the hub answers; where it does not answer, where it is configured to.

    ``as_loaded`` corrects what ``config.yaml`` says where hub and proxy do not tell.
    Raises `ConfigBroken`.
    """
    base, sockets = _base(manager), listening(manager)
    configured = config.address(hub)
    configured = configured if base and sockets else as_loaded(configured)
    configured = replace(configured, base=base or configured.base)
    found = _candidates(configured, sockets)
    return next((each for each in found if version(ask(each))), configured)


def found(source: Source) -> Address:
    """Return where the hub answers, or will answer once it runs, whichever file or plugin says so.

    It takes seconds to load the configuration: only a hub that does not run, or tells nothing, is
    asked in this way. Raises `ConfigBroken`.
    """

    def as_loaded(configured: Address) -> Address:
        base = loaded.present(source).base_url or configured.base
        entry = entry_points.written(source.hub, source.hub.python).get(configured.scheme)
        if not entry:
            return replace(configured, base=base)
        return replace(configured, base=base, host=_hosts(entry)[0], port=entry.port)

    return of(source.hub, source.services, as_loaded)


def listening(manager: Services) -> list[Socket]:
    """Return where the running proxy listens; nothing where it does not run."""
    pid = manager.pid(services.PROXY)
    return processes.listening(pid) if pid else []


def ask(address: Address) -> http_client.Answer:
    """Ask the hub's API, as anybody may."""
    return http_client.get(address.url("hub/api/"), timeout=TIMEOUT)


def version(answer: http_client.Answer) -> str:
    """Return the version that a hub's API names; nothing where something else has answered."""
    try:
        return str(json.loads(answer.body)["version"]) if answer.ok else ""
    except (ValueError, KeyError, TypeError):
        return ""


def _candidates(configured: Address, sockets: list[Socket]) -> Iterator[Address]:
    """Yield where the hub may answer, the likeliest first.

    The configured address is one only if our own proxy listens there: another hub may.
    """
    hosts = {host for each in sockets if each.port == configured.port for host in _hosts(each)}
    if not sockets or configured.host in hosts:
        yield configured
    for each in sorted(sockets, key=lambda it: (it.loopback, it.port)):
        for scheme in ("https", "http") if each.port == 443 else ("http", "https"):
            for host in _hosts(each):
                yield replace(configured, scheme=scheme, host=host, port=each.port)


def _hosts(one: Socket) -> list[str]:
    """Return the names under which a socket of this machine may be reached from it."""
    hosts = LOOPBACK.get(one.host, [one.host])
    return [f"[{it}]" if ":" in it else it for it in hosts]


def _base(manager: Services) -> str:
    """Return the base URL as the running hub tells it; nothing where it does not.

    Whoever asks JupyterHub itself for a page outside its base URL is sent to the one inside.
    """
    pid = manager.pid(services.HUB)
    sockets = processes.listening(pid) if pid else []
    for host, port in [(host, each.port) for each in sockets for host in _hosts(each)]:
        answer = http_client.get(f"http://{host}:{port}/", timeout=TIMEOUT)
        path = urlsplit(answer.location).path if answer.status in http_client.MOVED else ""
        if path.endswith(f"/{HUB}"):
            return path.removesuffix(HUB)
    return ""
