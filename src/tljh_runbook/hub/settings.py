"""What may vary: one YAML file on the hub, every key known, every value checked.

Precedence: a value on the command line, then the settings file, then the default written here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import Any

from tljh_runbook.errors import SettingsInvalid
from tljh_runbook.hub import yaml
from tljh_runbook.hub.layout import Hub
from tljh_runbook.hub.requirements import Requirement

# The newest releases that this version of the runbook was tested with.
TLJH = "2.0.0"
PLUGINS = (
    "tljh-plasma @ git+https://github.com/plasmabio/plasma"
    "@4e54be5b4ea0a838c49485ce948332383b40ef81#subdirectory=tljh-plasma",
    "tljh-repo2docker==3.0.15",
)
_RELEASE = re.compile(r"\d+\.\d+\.\w+|[0-9a-f]{40}")
EXCLUDE = (
    ".cache",
    ".local/share/Trash",
    ".Trash-*",
    ".conda/pkgs",
    "miniconda3/pkgs",
    "node_modules/.cache",
    "__pycache__",
)
DEFAULTS = {"services.cull.timeout": 3600, "limits.memory": "2G", "limits.cpu": 2}


def _setting(default: Any, doc: str) -> Any:
    if isinstance(default, dict):
        return field(default_factory=default.copy, metadata={"doc": doc})
    return field(default=default, metadata={"doc": doc})


@dataclass(frozen=True)
class UpgradeSettings:
    """What an upgrade installs, and how careful it is."""

    tljh: str = _setting(TLJH, "The TLJH version to upgrade to: a release or a full commit.")
    plugins: tuple[str, ...] = _setting(
        PLUGINS,
        "The plugins to upgrade to, as pip requirements. Each is pinned, by `==version` or by a "
        "full commit, because every commit of the Plasma plugin carries the same version.",
    )
    installer: str = _setting(
        "/srv/tljh-installer.py", "TLJH's `bootstrap.py` on the hub, below the server's root."
    )
    defaults: dict[str, Any] = _setting(
        DEFAULTS, "Settings of `config.yaml` that are set where they are unset, and never else."
    )
    snapshot_age: int = _setting(
        60, "How old the snapshot may be that an upgrade starts from, in minutes."
    )
    healthy_within: int = _setting(
        180, "How long a restarted hub may take until it is healthy, in seconds."
    )


@dataclass(frozen=True)
class UserDataSettings:
    """Where users' files are kept, and what of them."""

    repository: str = _setting(
        "/var/backups/tljh-user-data",
        "The restic repository that keeps users' files: a folder below the server's root, or any "
        "address that restic knows, such as `sftp:backup@example.org:/hub` or "
        "`rest:https://backup.example.org/hub`.",
    )
    password_file: str = _setting(
        "/etc/tljh-runbook.password",
        "The file with the repository's password, below the server's root. It is made on first "
        "use. Without it nobody can read the repository: keep a copy elsewhere.",
    )
    name: str = _setting(
        "",
        "The name under which this hub's files are kept; empty means the server's name and the "
        "hub's folder. Set it on a new server that takes the place of an old one.",
    )
    also: tuple[str, ...] = _setting(
        (),
        "More folders to keep beside the home directories, below the server's root, such as "
        "`/srv/data`.",
    )
    exclude: tuple[str, ...] = _setting(
        EXCLUDE, "What is not kept, as restic's patterns: what programs make again by themselves."
    )
    options: dict[str, Any] = _setting(
        {}, "Options for restic's way to the repository, such as `sftp.command`."
    )
    environment_file: str = _setting(
        "",
        "A file of lines `NAME=VALUE` with what the repository's address needs besides, such as "
        "the keys of an object store. Nobody but its owner may read it.",
    )


@dataclass(frozen=True)
class KeepSettings:
    """Which snapshots are kept when old ones are removed."""

    last: int = _setting(3, "How many of the newest snapshots are kept.")
    daily: int = _setting(7, "For how many days the last snapshot of the day is kept.")
    weekly: int = _setting(4, "For how many weeks the last snapshot of the week is kept.")
    monthly: int = _setting(6, "For how many months the last snapshot of the month is kept.")


@dataclass(frozen=True)
class Settings:
    """All settings of one hub."""

    services: str = _setting(
        "systemd", "The service manager that runs the hub: `systemd`, or a sandbox's `supervisor`."
    )
    backups: str = _setting(
        "/var/backups/tljh", "The folder that holds the snapshots, below the server's root."
    )
    homes: str = _setting(
        "/home", "The folder that holds the users' home directories, below the server's root."
    )
    databases: dict[str, str] = _setting(
        {},
        "Where a database lies that is not found by itself: the name `jupyterhub`, `plasma` or "
        "`repo2docker`, and an absolute path or an address such as "
        "`postgresql://USER:PASSWORD@HOST/DATABASE`. A file that holds a password must be "
        "readable by root alone.",
    )
    save_images: bool = _setting(
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
    upgrade: UpgradeSettings = field(
        default_factory=UpgradeSettings, metadata={"doc": "What an upgrade installs."}
    )

    def asked(self) -> tuple[Requirement, ...]:
        """Return the plugins to upgrade to."""
        return tuple(Requirement.parse(text) for text in self.upgrade.plugins)


def documented(kind: type = Settings, prefix: str = "") -> list[tuple[str, Any, str]]:
    """Return name, default and meaning of every setting, in the order of the reference."""
    found: list[tuple[str, Any, str]] = []
    for item in fields(kind):
        default = item.default_factory() if callable(item.default_factory) else item.default
        if is_dataclass(default):
            found += documented(type(default), f"{prefix}{item.name}.")
        else:
            found.append((f"{prefix}{item.name}", default, item.metadata["doc"]))
    return found


def load(hub: Hub, file: Path | None = None) -> Settings:
    """Return the hub's settings, from ``file`` or from the hub's own settings file.

    A file that was not named may be absent: the defaults hold then.
    Raises `SettingsInvalid` with the name of the key.
    """
    path = file or hub.settings_file
    settings: Settings = _filled(Settings(), _read(path, required=file is not None), path, "")
    return _placed(hub, checked(settings, path))


def _read(path: Path, *, required: bool) -> Any:
    """Return what a settings file holds; nothing when it is absent and not required."""
    try:
        values = yaml.parse(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        if required:
            raise _invalid(path, "there is no such file.") from error
        return {}
    except (OSError, ValueError) as error:
        raise _invalid(path, str(error)) from error
    except yaml.YAMLError as error:
        raise _invalid(path, " ".join(str(error).split())) from error
    return {} if values is None else values


def _placed(hub: Hub, settings: Settings) -> Settings:
    """Put the folders that the settings name below the root of the hub's server."""

    def place(value: str) -> str:
        inside = Path(value).is_relative_to(hub.root)
        return value if inside else str(hub.root / value.lstrip("/"))

    return replace(
        settings,
        backups=place(settings.backups),
        homes=place(settings.homes),
        user_data=replace(
            settings.user_data,
            # Any other kind of repository begins with its name and a colon.
            repository=place(settings.user_data.repository)
            if settings.user_data.repository.startswith("/")
            else settings.user_data.repository,
            password_file=place(settings.user_data.password_file),
            environment_file=settings.user_data.environment_file
            and place(settings.user_data.environment_file),
            also=tuple(map(place, settings.user_data.also)),
        ),
        upgrade=replace(settings.upgrade, installer=place(settings.upgrade.installer)),
    )


def checked(settings: Settings, path: Path) -> Settings:
    """Return ``settings`` when all values can be used. Raises `SettingsInvalid`."""
    if settings.services not in {"systemd", "supervisor"}:
        raise _invalid(path, f"services: {settings.services!r} is neither systemd nor supervisor.")
    for number in ("snapshot_age", "healthy_within"):
        if getattr(settings.upgrade, number) <= 0:
            raise _invalid(path, f"upgrade.{number} must be greater than 0.")
    for number in ("last", "daily", "weekly", "monthly"):
        if getattr(settings.keep, number) < (number == "last"):
            raise _invalid(path, f"keep.{number} must be at least {int(number == 'last')}.")
    for name, place in settings.databases.items():
        if name not in {"jupyterhub", "plasma", "repo2docker"}:
            raise _invalid(path, f"databases: no database is called {name!r}.")
        if not isinstance(place, str) or not (place.startswith("/") or "://" in place):
            # What it says instead may hold a password.
            raise _invalid(path, f"databases.{name} must be an absolute path or an address.")
    for folder in ("backups", "homes"):
        if not getattr(settings, folder):
            raise _invalid(path, f"{folder} must name a folder.")
    if not _RELEASE.fullmatch(settings.upgrade.tljh):
        raise _invalid(
            path, f"upgrade.tljh: {settings.upgrade.tljh!r} is neither a release nor a full commit."
        )
    try:
        settings.asked()
    except ValueError as error:
        raise _invalid(path, f"upgrade.plugins: {error}") from error
    return settings


def _filled(into: Any, values: Any, path: Path, prefix: str) -> Any:
    if not isinstance(values, Mapping):
        raise _invalid(path, f"{prefix.rstrip('.') or 'the file'} must hold names and values.")
    known = {item.name for item in fields(into)}
    changes = {}
    for key, value in values.items():
        if key not in known:
            raise _invalid(path, f"it does not know the setting {prefix}{key}.")
        changes[key] = _value(getattr(into, key), value, path, f"{prefix}{key}")
    return replace(into, **changes)


def _value(default: Any, value: Any, path: Path, name: str) -> Any:
    if is_dataclass(default):
        return _filled(default, value, path, f"{name}.")
    if isinstance(default, tuple):
        if isinstance(value, list) and all(isinstance(each, str) for each in value):
            return tuple(value)
        raise _invalid(path, f"{name} must be a list of texts.")
    if isinstance(default, dict):
        if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
            return dict(value)
        raise _invalid(path, f"{name} must hold names and values.")
    if type(value) is type(default):
        return value
    wanted = {bool: "true or false", int: "a whole number"}
    kind = wanted.get(type(default), "a text (write it in quotes)")
    raise _invalid(path, f"{name} must be {kind}, not {value!r}.")


def _invalid(path: Path, why: str) -> SettingsInvalid:
    return SettingsInvalid(
        f"The settings file {path} cannot be used: {why} Nothing was changed.",
        hint="Correct the file; the page 'Settings' lists every setting with its default.",
    )
