"""The addresses of the proxy, which TLJH's installer must not change.

The installer rewrites `traefik.toml` from `config.yaml` and the files in `traefik_config.d`. Manual
edits in it are lost then: a proxy that was bound to localhost would become public.
"""

from __future__ import annotations

import ipaddress
import os
import socket
from collections.abc import Iterator
from contextlib import suppress

from tljh_runbook.errors import ServerUnfit
from tljh_runbook.hub.context import Source
from tljh_runbook.hub.core import config
from tljh_runbook.hub.core.address import Socket
from tljh_runbook.hub.core.layout import Hub
from tljh_runbook.hub.health import endpoint, entry_points
from tljh_runbook.hub.health.entry_points import ALL, MORE, STATIC, TABLE, Entries
from tljh_runbook.hub.system import processes, services


def require_same(source: Source, wanted: Entries) -> None:
    """Raise `ServerUnfit` if the installer would change the addresses on which the proxy listens.

    Ignores loopback addresses, a proxy that does not run, and one that reads another file than
    TLJH's.
    """
    now = endpoint.listening(source.services)
    if not now or not wanted or not _reads_ours(source):
        return
    then = [one for each in wanted.values() for one in _resolved(each)]
    opened = [each for each in then if not each.loopback and not _covered(each, now)]
    port = endpoint.of(source.hub, source.services).port
    closed = [each for each in now if each.port == port and not _covered(each, then)]
    if opened or closed:
        raise _unfit(source, now, wanted, opened or then)


def _unfit(source: Source, now: list[Socket], wanted: Entries, then: list[Socket]) -> ServerUnfit:
    known = entry_points.written(source.hub, source.hub.python)
    differ = {name: known[name] for name in wanted if name in known and known[name] != wanted[name]}
    keep = "; ".join(_keep(source.hub, name, each, wanted[name]) for name, each in differ.items())
    place = source.hub.prefix / MORE
    keep = f"To retain the present address: {keep or f'put it in a file in {place}'}"
    return ServerUnfit(
        f"The proxy listens on {_told(now)}, and TLJH's installer would have it listen on "
        f"{_told(then)}: {source.hub.prefix / STATIC} was edited by hand, or the settings were "
        "changed and not applied. Nothing was changed.",
        hint=(
            keep,
            "To use the address of the settings: sudo tljh-config reload proxy",
            "Then run the same command again.",
        ),
    )


def _keep(hub: Hub, name: str, now: Socket, then: Socket) -> str:
    """Return the command that makes TLJH itself write the current address."""
    host = "" if now.host == ALL else now.host
    if name not in config.PORTS:
        line = f'[{TABLE}.{name}]\\naddress = "{host}:{now.port}"\\n'
        return f"printf '{line}' | sudo tee {hub.prefix / MORE / name}.toml"
    differ = {"address": f"'{host}'"} if now.host != then.host else {}
    differ |= {"port": str(now.port)} if now.port != then.port else {}
    return " && ".join(f"sudo tljh-config set {name}.{key} {it}" for key, it in differ.items())


def _told(sockets: list[Socket]) -> str:
    """Return addresses in readable form."""
    anywhere = {ALL, config.EVERYWHERE}
    told = {
        f"port {each.port} of {'all addresses' if each.host in anywhere else each.host}": None
        for each in sockets
    }
    return ", ".join(told)


def _covered(one: Socket, others: list[Socket]) -> bool:
    return any(each.covers(one) for each in others)


def _reads_ours(source: Source) -> bool:
    """Return whether the running proxy has read TLJH's file: a drop-in may name another."""
    pid = source.services.pid(services.PROXY)
    words = processes.command_line(pid) if pid else []
    named = [word.partition("=")[2] for word in words if word.lower().startswith("--configfile=")]
    ours = os.path.realpath(source.hub.prefix / STATIC)
    return all(os.path.realpath(each) == ours for each in named)


def _resolved(one: Socket) -> Iterator[Socket]:
    """Yield the addresses of a host name, resolved as the proxy would."""
    with suppress(ValueError):
        ipaddress.ip_address(one.host)
        yield one
        return
    with suppress(OSError):
        for found in socket.getaddrinfo(one.host, one.port, type=socket.SOCK_STREAM):
            yield Socket(str(found[4][0]), one.port)
