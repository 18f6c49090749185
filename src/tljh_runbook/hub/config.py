"""The hub's ``config.yaml``: read it, find the hub's address in it, set what is unset."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tljh_runbook.errors import ConfigBroken
from tljh_runbook.hub import files, yaml
from tljh_runbook.hub.layout import Hub

Flat = dict[str, Any]
EVERYWHERE = "0.0.0.0"  # noqa: S104 - as a setting says it; nothing listens here


@dataclass(frozen=True)
class Address:
    """Where the proxy listens, as seen from the hub's own machine."""

    scheme: str
    host: str
    port: int
    base: str

    def url(self, path: str) -> str:
        """Return the address of ``path`` below the hub's base URL."""
        return f"{self.scheme}://{self.host}:{self.port}{self.base}{path}"


def read(hub: Hub) -> Flat:
    """Return the settings of ``config.yaml`` under dotted names. Raises `ConfigBroken`."""
    values = _values(hub, yaml.parse)
    return dict(_flatten(values))


def address(hub: Hub) -> Address:
    """Return the proxy's address. Raises `ConfigBroken`."""
    flat = read(hub)
    https = bool(flat.get("https.enabled"))
    scheme, usual = ("https", 443) if https else ("http", 80)
    host = str(flat.get(f"{scheme}.address") or EVERYWHERE)
    port = int(flat.get(f"{scheme}.port", usual))
    base = "/" + str(flat.get("base_url", "/")).strip("/") + "/"
    here = "127.0.0.1" if host == EVERYWHERE else host
    return Address(scheme, here, port, base.replace("//", "/"))


def unset(hub: Hub, defaults: Mapping[str, Any]) -> Flat:
    """Return those of ``defaults`` that ``config.yaml`` does not set."""
    present = read(hub)
    return {name: value for name, value in defaults.items() if not _is_set(present, name)}


def set_unset(hub: Hub, defaults: Mapping[str, Any]) -> Flat:
    """Write those of ``defaults`` that are unset, in one moment; return them."""
    missing = unset(hub, defaults)
    if missing:
        values = _values(hub, yaml.load)
        for name, value in missing.items():
            _put(values, name.split("."), value)
        files.replace(hub.config_file, yaml.dump(values).encode())
    return missing


def _values(hub: Hub, parse: Any) -> Any:
    if not hub.config_file.exists():
        return {}  # TLJH runs on its defaults then
    try:
        values = parse(hub.config_file.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError, ValueError) as error:
        raise _broken(hub, " ".join(str(error).split())) from error
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
    """Say whether ``name``, or anything above or below it, has a value of its own."""
    return any(
        key == name or key.startswith(f"{name}.") or name.startswith(f"{key}.")
        for key, value in flat.items()
        if value is not None and value != {}
    )


def _put(values: Any, path: list[str], value: Any) -> None:
    *above, last = path
    for key in above:
        if not isinstance(values.get(key), Mapping):
            values[key] = {}
        values = values[key]
    values[last] = value
