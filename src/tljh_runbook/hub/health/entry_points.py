"""Where traefik should listen: according to TLJH's settings, and to its own configuration file.

TLJH writes ``traefik.toml`` from ``config.yaml`` and the files in ``traefik_config.d``; an
administrator may have edited it since.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tljh_runbook.errors import ConfigBroken
from tljh_runbook.hub.core import config, files, toml
from tljh_runbook.hub.core.address import Socket
from tljh_runbook.hub.core.layout import Hub

ALL = "::"  # the kernel's wildcard address for IPv4 and IPv6
STATIC = Path("state/traefik.toml")
MORE = Path("config/traefik_config.d")
TABLE = "entryPoints"

Entries = dict[str, Socket]


def configured(hub: Hub) -> Entries:
    """Return where TLJH's settings make the proxy listen. Raises `ConfigBroken`."""
    names = ["http", "https"] if config.read(hub).get("https.enabled") else ["http"]
    found = {name: config.entry(hub, name) for name in names}
    for path in sorted((hub.prefix / MORE).glob("*.toml")):
        try:
            found |= entries(toml.parse(files.read(path).decode(), hub.python))
        except (OSError, ValueError) as error:
            raise ConfigBroken(
                f"{path} cannot be read: {error}. Nothing was changed.",
                hint="Correct the file, then run the same command again.",
            ) from error
    return found


def written(hub: Hub, python: Path) -> Entries:
    """Return where a hub's `traefik.toml` makes the proxy listen; empty if it cannot be read."""
    try:
        return entries(toml.parse(files.read(hub.prefix / STATIC).decode(), python))
    except (OSError, ValueError):
        return {}


def entries(values: Mapping[str, Any]) -> Entries:
    """Return the entry points in a static traefik configuration that have an address."""
    points = values.get(TABLE) or {}
    told = {name: str(point.get("address") or "") for name, point in points.items()}
    return {name: _socket(address) for name, address in told.items() if ":" in address}


def _socket(address: str) -> Socket:
    host, _, port = address.partition("/")[0].rpartition(":")
    return Socket(host.strip("[]") or ALL, int(port) if port.isdecimal() else 0)
