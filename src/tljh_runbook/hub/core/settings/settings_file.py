"""The settings file: reading it, and overriding the defaults with its values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

from tljh_runbook.errors import SettingsInvalid
from tljh_runbook.hub.core import yaml


def read(path: Path, *, required: bool) -> Any:
    """Return the content of a settings file; {} if it is absent and not required."""
    try:
        values = yaml.parse(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        if required:
            raise invalid(path, "there is no such file.") from error
        return {}
    except (OSError, ValueError) as error:
        raise invalid(path, str(error)) from error
    except yaml.YAMLError as error:
        raise invalid(path, yaml.reason(error)) from error
    return {} if values is None else values


def filled(into: Any, values: Any, path: Path, prefix: str) -> Any:
    """Return ``into``, a group of settings, with its defaults overridden by ``values``."""
    if not isinstance(values, Mapping):
        raise invalid(path, f"{prefix.rstrip('.') or 'the file'} must hold names and values.")
    known = {item.name for item in fields(into) if "doc" in item.metadata}
    changes = {}
    for key, value in values.items():
        if key not in known:
            raise invalid(path, f"it does not know the setting {prefix}{key}.")
        changes[key] = _value(getattr(into, key), value, path, f"{prefix}{key}")
    return replace(into, **changes)


def names(values: Mapping[str, Any]) -> Iterator[str]:
    """Yield the names of all settings and groups in the content of a file."""
    for key, value in values.items():
        yield key
        if isinstance(value, Mapping):
            yield from (f"{key}.{below}" for below in value)


def _value(default: Any, value: Any, path: Path, name: str) -> Any:
    if is_dataclass(default):
        return filled(default, value, path, f"{name}.")
    if isinstance(default, tuple):
        if isinstance(value, list) and all(isinstance(each, str) for each in value):
            return tuple(value)
        raise invalid(path, f"{name} must be a list of texts.")
    if isinstance(default, dict):
        if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
            return dict(value)
        raise invalid(path, f"{name} must hold names and values.")
    if type(value) is type(default):
        return value
    wanted = {bool: "true or false", int: "a whole number"}
    kind = wanted.get(type(default), "a text (write it in quotes)")
    raise invalid(path, f"{name} must be {kind}, not {value!r}.")


def invalid(path: Path, why: str) -> SettingsInvalid:
    """Return the error for an invalid settings file; ``why`` says what is wrong in it."""
    return SettingsInvalid(
        f"The settings file {path} cannot be used: {why} Nothing was changed.",
        hint="Correct the file; the page 'Settings' lists every setting with its default.",
    )
