"""Validation of the settings when the file is read; every error names its setting."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tljh_runbook.hub.core.settings.settings_file import invalid
from tljh_runbook.hub.core.settings.settings_groups import UserDataSettings

# For these, restic does not take the part after the colon as a path on this server.
_REMOTE = re.compile(r"(sftp|rest|s3|swift|b2|azure|gs|rclone):.+", re.DOTALL)
_OPTION = re.compile(r"[\w-]+(\.[\w-]+)+", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
FILES = ("user_data.password_file", "upgrade.installer")
FOLDERS = ("backups", "homes")
DEFAULTS = "upgrade.defaults"  # values of config.yaml, which may be anything


def check(settings: Any, path: Path) -> None:
    """Raise `SettingsInvalid` for the first invalid value."""
    values = dict(_values(settings, ""))
    for name, value in values.items():
        for text in _texts(value) if name != DEFAULTS else value:
            if _CONTROL.search(text):
                raise invalid(path, f"{name} holds a control character, such as a line break.")
    for name in FOLDERS:
        if why := _no_folder(values[name]):
            raise invalid(path, f"{name} {why}.")
    for name in FILES:
        if not values[name]:
            raise invalid(path, f"{name} must name a file.")
    for name, place in settings.databases.items():
        _check_address(name, place, path)
    for key in settings.upgrade.defaults:
        if not all(key.split(".")):
            raise invalid(path, f"{DEFAULTS}: {key!r} is no name of a setting.")
    _check_user_data(settings.user_data, path)


def _values(group: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    for item in fields(group):
        value = getattr(group, item.name)
        if is_dataclass(value):
            yield from _values(value, f"{prefix}{item.name}.")
        else:
            yield f"{prefix}{item.name}", value


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, tuple | list):
        for each in value:
            yield from _texts(each)
    elif isinstance(value, dict):
        for each in value.items():
            yield from _texts(each)


def _no_folder(value: str) -> str:
    """Return why a value is not usable as a folder, or ''."""
    if not value.strip():
        return "must name a folder"
    if ".." in Path(value).parts:
        return "must not contain .."
    return "" if value.strip("/.") else "must not be all of the server"


def _check_address(name: str, place: object, path: Path) -> None:
    try:
        text = str(place)
        _ = urlsplit(text).port if "://" in text else None
    except ValueError as error:  # its text may hold a password
        raise invalid(path, f"databases.{name} is no address that can be read.") from error


def _check_user_data(about: UserDataSettings, path: Path) -> None:
    folder = about.repository.removeprefix("local:")
    if not (folder.startswith("/") or _REMOTE.fullmatch(about.repository)):
        why = "must be an absolute path, or an address that restic knows, such as sftp:…"
        raise invalid(path, f"user_data.repository {why}.")
    for each in about.also:
        if why := _no_folder(each):
            raise invalid(path, f"user_data.also: the entry {each!r} {why}.")
    for each in about.exclude:
        if why := no_pattern(each):
            raise invalid(path, f"user_data.exclude: the pattern {each!r} {why}.")
    for key, value in about.options.items():
        if not _OPTION.fullmatch(key) or not isinstance(value, str | int | float):
            raise invalid(path, f"user_data.options: {key!r} is no option with a text or a number.")


def no_pattern(pattern: str) -> str:
    """Return why restic would reject or ignore a pattern, or ''."""
    if not pattern.strip():
        return "is empty"
    if pattern != pattern.strip():
        return "begins or ends with a blank"
    if pattern.startswith("#"):
        return r"is a comment to restic (write \# for the sign itself)"
    if all(map(_is_glob, pattern.removeprefix("!").split("/"))):
        return ""
    return r"cannot be read (write \[ for a bracket and \\ for a backslash)"


# The grammar of Go's path/filepath.Match, which restic uses for each part of a path.
_SIGN = r"(?:\\.|[^\\\]-])"
_RANGES = rf"\[\^?(?:{_SIGN}(?:-{_SIGN})?)+\]"
_GLOB = re.compile(rf"(?:\\.|{_RANGES}|[^\\\[])*", re.DOTALL)


def _is_glob(part: str) -> bool:
    return _GLOB.fullmatch(part) is not None
