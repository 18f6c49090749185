"""The settings of a hub: one YAML file, in which every key and every value is checked.

Precedence: a value on the command line, then the settings file, then the default in this package.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tljh_runbook.hub.core.layout import Hub
from tljh_runbook.hub.core.settings import settings_checks, settings_file
from tljh_runbook.hub.core.settings.requirements import Requirement
from tljh_runbook.hub.core.settings.settings_file import invalid
from tljh_runbook.hub.core.settings.settings_groups import (
    DEFAULTS,
    MOST_MINUTES,
    PLUGINS,
    TLJH,
    KeepSettings,
    ScheduledSettings,
    SecuritySettings,
    UpgradeSettings,
    UserDataSettings,
    setting,
)

__all__ = [
    "DEFAULTS",
    "PLUGINS",
    "TLJH",
    "KeepSettings",
    "ScheduledSettings",
    "SecuritySettings",
    "Settings",
    "UpgradeSettings",
    "UserDataSettings",
    "checked",
    "documented",
    "fetchable",
    "load",
]

# Used as a command-line argument, so it must not start with a dash.
_MAILBOX = re.compile(r"[\w.+][\w.+-]*(@[\w.-]+)?", re.ASCII)


@dataclass(frozen=True)
class Settings:
    """All settings of one hub."""

    services: str = setting(
        "systemd", "The service manager that runs the hub: `systemd`, or a sandbox's `supervisor`."
    )
    backups: str = setting(
        "/var/backups/tljh", "The folder that holds the snapshots, below the server's root."
    )
    homes: str = setting(
        "/home", "The folder that holds the users' home directories, below the server's root."
    )
    databases: dict[str, str] = setting(
        {},
        "Where a database lies that is not found by itself: the name `jupyterhub`, `plasma` or "
        "`repo2docker`, and an absolute path or an address such as "
        "`postgresql://USER:PASSWORD@HOST/DATABASE`. A file that holds a password must be "
        "readable by root alone.",
    )
    save_images: bool = setting(
        False,
        "Whether each snapshot holds the environments' Docker images themselves, several GB each, "
        "and not only what they are built from.",
    )
    user_data: UserDataSettings = field(
        default_factory=UserDataSettings, metadata={"doc": "Where users' files are kept."}
    )
    keep: KeepSettings = field(
        default_factory=KeepSettings, metadata={"doc": "Which snapshots are kept."}
    )
    scheduled: ScheduledSettings = field(
        default_factory=ScheduledSettings, metadata={"doc": "What runs without a person."}
    )
    upgrade: UpgradeSettings = field(
        default_factory=UpgradeSettings, metadata={"doc": "What an upgrade installs."}
    )
    security: SecuritySettings = field(
        default_factory=SecuritySettings, metadata={"doc": "Where newer advisories come from."}
    )

    written: frozenset[str] = frozenset()
    """The names set in the settings file, such as ``upgrade.tljh``; the rest are our defaults."""

    def asked(self) -> tuple[Requirement, ...]:
        """Return the plugins to upgrade to."""
        return tuple(Requirement.parse(text) for text in self.upgrade.plugins)


def documented(kind: type = Settings, prefix: str = "") -> list[tuple[str, Any, str]]:
    """Return the name, default and description of every setting, in the reference's order."""
    found: list[tuple[str, Any, str]] = []
    for item in fields(kind):
        default = item.default_factory() if callable(item.default_factory) else item.default
        if item.name == "written":
            continue
        if is_dataclass(default):
            found += documented(type(default), f"{prefix}{item.name}.")
        else:
            found.append((f"{prefix}{item.name}", default, item.metadata["doc"]))
    return found


def load(hub: Hub, file: Path | None = None) -> Settings:
    """Return the hub's settings, from ``file`` or from the hub's own settings file.

    The hub's own file may be absent: then the defaults apply. Raises `SettingsInvalid`, which names
    the key.
    """
    path = file or hub.settings_file
    values = settings_file.read(path, required=file is not None)
    settings: Settings = settings_file.filled(Settings(), values, path, "")
    settings = replace(settings, written=frozenset(settings_file.names(values)))
    return _placed(hub, checked(settings, path))


def _placed(hub: Hub, settings: Settings) -> Settings:
    """Resolve the folders in the settings below the root of the hub's server."""

    def place(value: str) -> str:
        inside = Path(value).is_relative_to(hub.root)
        return value if inside else str(hub.root / value.lstrip("/"))

    return replace(
        settings,
        backups=place(settings.backups),
        homes=place(settings.homes),
        user_data=replace(
            settings.user_data,
            # Every other repository type starts with its name and a colon.
            repository=place(settings.user_data.repository)
            if settings.user_data.repository.startswith("/")
            else settings.user_data.repository,
            password_file=place(settings.user_data.password_file),
            environment_file=settings.user_data.environment_file
            and place(settings.user_data.environment_file),
            also=tuple(map(place, settings.user_data.also)),
        ),
        scheduled=replace(
            settings.scheduled,
            metrics=settings.scheduled.metrics and place(settings.scheduled.metrics),
            ping_file=settings.scheduled.ping_file and place(settings.scheduled.ping_file),
        ),
        upgrade=replace(settings.upgrade, installer=place(settings.upgrade.installer)),
        security=replace(
            settings.security,
            advisories=place(settings.security.advisories)
            if settings.security.advisories.startswith("/")
            else settings.security.advisories,
        ),
    )


def checked(settings: Settings, path: Path) -> Settings:
    """Return ``settings`` if all values are valid. Raises `SettingsInvalid`."""
    if settings.services not in {"systemd", "supervisor"}:
        raise invalid(path, f"services: {settings.services!r} is neither systemd nor supervisor.")
    for number in ("last", "daily", "weekly", "monthly"):
        if getattr(settings.keep, number) < (number == "last"):
            raise invalid(path, f"keep.{number} must be at least {int(number == 'last')}.")
    for name, place in settings.databases.items():
        if name not in {"jupyterhub", "plasma", "repo2docker"}:
            raise invalid(path, f"databases: no database is called {name!r}.")
        if not isinstance(place, str) or not (place.startswith("/") or "://" in place):
            # The message does not show the value, which may hold a password.
            raise invalid(path, f"databases.{name} must be an absolute path or an address.")
    _check_upgrade(settings, path)
    _check_scheduled(settings.scheduled, path)
    settings_checks.check(settings, path)
    if not fetchable(settings.security.advisories):
        raise invalid(path, "security.advisories is neither an https address nor a path.")
    return settings


def _check_upgrade(settings: Settings, path: Path) -> None:
    for number in ("snapshot_age", "healthy_within"):
        if getattr(settings.upgrade, number) <= 0:
            raise invalid(path, f"upgrade.{number} must be greater than 0.")
        if getattr(settings.upgrade, number) > MOST_MINUTES:
            raise invalid(path, f"upgrade.{number} must be at most {MOST_MINUTES}.")
    for number in ("quiet_within", "confirm_within"):
        if not 0 <= getattr(settings.upgrade, number) <= MOST_MINUTES:
            raise invalid(path, f"upgrade.{number} must be from 0 to {MOST_MINUTES}, a year.")
    try:
        Requirement.of_tljh(settings.upgrade.tljh)
    except ValueError as error:
        raise invalid(path, f"upgrade.tljh: {error}") from error
    try:
        settings.asked()
    except ValueError as error:
        raise invalid(path, f"upgrade.plugins: {error}") from error


def _check_scheduled(settings: ScheduledSettings, path: Path) -> None:
    if not 1 <= settings.sample <= 100:
        raise invalid(path, "scheduled.sample must be between 1 and 100.")
    if settings.mail_to and not _MAILBOX.fullmatch(settings.mail_to):
        raise invalid(path, f"scheduled.mail_to: {settings.mail_to!r} is no address.")


def fetchable(place: str) -> bool:
    """Return whether a setting is a file path, an https URL, or an http URL on this machine."""
    try:
        parts = urlsplit(place)
    except ValueError:
        return False
    here = parts.scheme == "http" and parts.hostname in {"127.0.0.1", "localhost", "::1"}
    return place.startswith("/") or (bool(parts.hostname) and (parts.scheme == "https" or here))
