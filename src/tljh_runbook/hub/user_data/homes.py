"""The location of users' files: the folder of home directories, and homes outside it."""

from __future__ import annotations

import pwd
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tljh_runbook.errors import DatabaseDamaged, DatabaseMissing, SettingsInvalid
from tljh_runbook.hub.accounts import accounts
from tljh_runbook.hub.context import Source
from tljh_runbook.hub.database import databases, hubdb

Account = Callable[[str], pwd.struct_passwd]
ORDINARY = 1000  # lower UIDs are system accounts
NOBODY = 65534
SYSTEM = ("bin", "boot", "dev", "etc", "lib", "proc", "run", "sbin", "sys", "usr")


@dataclass(frozen=True)
class Homes:
    """The folders to back up: no links in their paths, and none below another."""

    paths: tuple[Path, ...]
    of: dict[str, str]
    """The home of each hub user that has one."""
    homeless: tuple[str, ...]
    missing: tuple[str, ...]
    """Configured folders that do not exist."""
    unknown: bool
    """Whether the users could not be read from the hub's database."""


def find(source: Source, account: Account = pwd.getpwnam) -> Homes:
    """Return the folders to back up for the hub's users. Raises `SettingsInvalid`."""
    homes = _folder_of_homes(source)
    users = _users(source)
    candidates = {
        user: list(dict.fromkeys(_homes_of(user, homes, source, account))) for user in users or ()
    }
    every = {homes, *(home for found in candidates.values() for home in found)}
    # A home that contains other homes is a mistake in the account.
    safe = {
        user: [home for home in found if not _holds(home, every)]
        for user, found in candidates.items()
    }
    also = [Path(path) for path in source.settings.user_data.also]
    if source.settings.user_data.environment:
        also.append(source.hub.prefix / "user")
    there = [path.resolve() for path in also if path.is_dir()]
    return Homes(
        paths=_topmost([homes, *there, *(home for found in safe.values() for home in found)]),
        of={user: str(found[0]) for user, found in safe.items() if found},
        homeless=tuple(user for user, found in safe.items() if not found),
        missing=tuple(str(path) for path in also if not path.is_dir()),
        unknown=users is None,
    )


def account_name(user: str) -> str:
    """Return the name of the account that TLJH creates for a user (``tljh/normalize.py``)."""
    return accounts.system_name(f"jupyter-{user}")


def _folder_of_homes(source: Source) -> Path:
    homes = Path(source.settings.homes)
    if not homes.is_dir() or homes.resolve() == Path("/"):
        raise SettingsInvalid(
            f"There is no folder {homes} that holds home directories, so users' files were not "
            "kept.",
            hint=f"Name the folder of the home directories in {source.hub.settings_file}: "
            "homes: /path",
        )
    return homes.resolve()


def _users(source: Source) -> list[str] | None:
    """Return the names of the hub's users; None if they cannot be read from its database."""
    try:
        found = databases.find(source.hub, source.services, source.settings)
        return list(hubdb.users(found[databases.REQUIRED]))
    except (DatabaseMissing, DatabaseDamaged):
        return None  # the files are backed up anyway


def _homes_of(user: str, homes: Path, source: Source, account: Account) -> Iterator[Path]:
    """Yield a user's homes, starting with the one that TLJH creates."""
    for name in (account_name(user), user):
        places = [homes / name] if Path(name).name == name else []
        if source.hub.root == Path("/"):  # otherwise this machine's accounts are not the hub's
            places = [*_of_account(name, account), *places]
        for place in places:
            # Users may choose any name, even one that is too long for a path.
            with suppress(OSError, ValueError, RuntimeError):
                home = place.resolve(strict=True)
                if home.is_dir() and not _forbidden(home, source):
                    yield home


def _of_account(name: str, account: Account) -> list[Path]:
    """Return an account's home; nothing for a system account, whose name a user could choose."""
    try:
        entry = account(name)
    except (KeyError, ValueError):
        return []
    ordinary = entry.pw_uid >= ORDINARY and entry.pw_uid != NOBODY
    return [Path(entry.pw_dir)] if ordinary and entry.pw_dir else []


def _forbidden(home: Path, source: Source) -> bool:
    """Return whether a folder belongs to the system or the hub, so it cannot be a home."""
    hub = source.hub
    own = {hub.prefix, hub.work, source.backups, Path(source.settings.homes).resolve()}
    shallow = len(home.parts) <= 2
    return shallow or home.parts[1] in SYSTEM or any(path.is_relative_to(home) for path in own)


def _holds(home: Path, others: set[Path]) -> bool:
    return any(other != home and other.is_relative_to(home) for other in others)


def _topmost(paths: list[Path]) -> tuple[Path, ...]:
    every = set(paths)
    return tuple(
        sorted(
            path
            for path in every
            if not any(other != path and path.is_relative_to(other) for other in every)
        )
    )
