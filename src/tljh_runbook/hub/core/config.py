"""The hub's ``config.yaml``: reading it, the proxy's address, and setting defaults."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from typing import Any

from tljh_runbook.errors import ConfigBroken
from tljh_runbook.hub.core import files, yaml
from tljh_runbook.hub.core.address import Socket
from tljh_runbook.hub.core.layout import Hub

Flat = dict[str, Any]
EMPTY: tuple[Any, ...] = (None, {})  # the values of an empty section
PORTS = {"http": 80, "https": 443}  # the proxy's default ports in TLJH
EVERYWHERE = "0.0.0.0"  # noqa: S104 - compared with a setting; nothing binds to it


@dataclass(frozen=True)
class Address:
    """The proxy's address as seen from the hub's own server."""

    scheme: str
    host: str
    port: int
    base: str

    def url(self, path: str) -> str:
        """Return the URL of ``path`` below the hub's base URL."""
        return self.at(f"{self.base}{path}")

    def at(self, path: str) -> str:
        """Return the URL of an absolute ``path`` on the proxy."""
        return f"{self.scheme}://{self.host}:{self.port}{path}"


def read(hub: Hub) -> Flat:
    """Return the values in ``config.yaml`` by dotted name. Raises `ConfigBroken`."""
    values = _values(hub, yaml.parse)
    try:
        return dict(_flatten(values))
    except RecursionError as error:
        raise _broken(hub, "a section of it holds itself.") from error


def text(hub: Hub) -> str:
    """Return the text of ``config.yaml``, '' if there is none. Raises `ConfigBroken`."""
    if not hub.config_file.exists():
        return ""  # then TLJH uses its defaults
    try:
        return hub.config_file.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise _broken(hub, " ".join(str(error).split())) from error


def address(hub: Hub) -> Address:
    """Return the proxy's address. Raises `ConfigBroken`."""
    flat = read(hub)
    https = bool(flat.get("https.enabled"))
    scheme = "https" if https else "http"
    host, port = astuple(entry(hub, scheme))
    base = "/" + str(flat.get("base_url") or "/").strip("/") + "/"
    here = {EVERYWHERE: "127.0.0.1", "::": "::1"}.get(host, host)
    here = f"[{here}]" if ":" in here else here
    return Address(scheme, here, port, base.replace("//", "/"))


def entry(hub: Hub, name: str) -> Socket:
    """Return the proxy's listening socket for ``http`` or ``https``. Raises `ConfigBroken`."""
    flat = read(hub)
    port = _port(hub, f"{name}.port", flat.get(f"{name}.port") or PORTS[name])
    return Socket(str(flat.get(f"{name}.address") or EVERYWHERE), port)


def _port(hub: Hub, name: str, value: Any) -> int:
    if not str(value).isdecimal() or not 0 < int(value) < 65536:
        raise _broken(hub, f"{name} is {value!r}, which is no port.")
    return int(value)


def unset(hub: Hub, defaults: Mapping[str, Any]) -> Flat:
    """Return the ``defaults`` that ``config.yaml`` does not set."""
    present = read(hub)
    return {name: value for name, value in defaults.items() if not _is_set(present, name)}


def set_unset(hub: Hub, defaults: Mapping[str, Any]) -> Flat:
    """Write the ``defaults`` that are unset, in one atomic change; return them."""
    with locked(hub):
        return _set(hub, unset(hub, defaults))


def put(hub: Hub, values: Flat) -> None:
    """Set values by dotted name, in one atomic change, like ``tljh-config set``."""
    with locked(hub):
        _set(hub, values)


@contextmanager
def locked(hub: Hub) -> Iterator[None]:
    """Hold the lock that ``tljh-config`` in newer TLJH versions holds while it writes."""
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(hub.config / "config.yaml.lock", flags, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _set(hub: Hub, missing: Flat) -> Flat:
    if missing:
        values = _values(hub, yaml.load)
        for name, value in missing.items():
            _put(values, name.split("."), value)
        new = _only_comments(hub) + yaml.dump(values)
        with files.disk_errors(hub.config_file, "Nothing was changed."):
            files.replace(hub.config_file.resolve(), new.encode())
    return missing


def _only_comments(hub: Hub) -> str:
    """Return the text of a file that has only comments, which the parser drops; otherwise ''."""
    lines = text(hub).splitlines()
    empty = all(line.lstrip()[:1] in {"", "#"} for line in lines)
    return "".join(f"{line}\n" for line in lines) if empty else ""


def _values(hub: Hub, parse: Any) -> Any:
    try:
        values = parse(text(hub))
    except yaml.YAMLError as error:
        raise _broken(hub, yaml.reason(error)) from error
    if values is None:
        return {}
    if not isinstance(values, Mapping):
        raise _broken(hub, "it holds no settings, but a single value or a list.")
    return values


def _broken(hub: Hub, why: str) -> ConfigBroken:
    return ConfigBroken(
        f"{hub.config_file} cannot be read: {why} Nothing was changed.",
        hint="Correct the file, then run the same command again. Until then the hub would not "
        "start again either.",
    )


def _flatten(values: Mapping[Any, Any], prefix: str = "") -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for key, value in values.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping) and value:
            found += _flatten(value, f"{name}.")
        else:
            found.append((name, value))
    return found


def _is_set(flat: Flat, name: str) -> bool:
    """Return whether ``name``, or any key above or below it, has a value.

    A null counts: `memory: null` means no limit. An empty section does not.
    """
    return any(
        key == name
        or key.startswith(f"{name}.")
        or (name.startswith(f"{key}.") and value not in EMPTY)
        for key, value in flat.items()
    )


def _put(values: Any, path: list[str], value: Any) -> None:
    *above, last = path
    for key in above:
        if not isinstance(values.get(key), Mapping):
            values[key] = {}
        values = values[key]
    values[last] = value
