"""Accounts and groups of the hub's server, as listed in its files in ``etc``.

They are read from the files below the hub's root instead of queried from the system, so that any
folder can be the root. Malformed records are skipped and counted: nothing from them may reach a
command.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tljh_runbook.hub.core import files

FIRST, LAST = 1000, 59999  # the IDs that useradd assigns to people
NOBODY = 65534
# Broader than `useradd` accepts: LDAP, Samba and --badname create such names, even all-digit ones.
_NAME = re.compile(r"\w[\w.@+\\-]{0,63}")
_SECRET = re.compile(r"[!*]+|!?[!-9;-~]{8,512}")  # a hash, or a lock; a ":" would end the field
_AGING = ("changed", "min", "max", "warn", "inactive", "expire")


@dataclass(frozen=True)
class User:
    """One account; ``aging`` holds the password aging fields, in days, set in its shadow record."""

    name: str
    uid: int
    gid: int
    comment: str
    home: str
    shell: str
    aging: dict[str, int] = field(default_factory=dict)
    subuids: list[list[int]] = field(default_factory=list)
    subgids: list[list[int]] = field(default_factory=list)


@dataclass(frozen=True)
class Group:
    """One group and its members, except users who have it as their primary group."""

    name: str
    gid: int
    members: list[str]

    @property
    def is_system(self) -> bool:
        """Whether a package chose its ID, which then differs on another server."""
        return not FIRST <= self.gid <= LAST


@dataclass
class Records:
    """Accounts and groups by name; ``passwords`` holds hashes, None without permission to read."""

    users: dict[str, User] = field(default_factory=dict)
    groups: dict[str, Group] = field(default_factory=dict)
    passwords: dict[str, str] | None = field(default_factory=dict, repr=False)
    skipped: dict[str, str] = field(default_factory=dict)
    """Records that could not be parsed: file, line and name, and why."""

    def to_json(self) -> dict[str, Any]:
        """Return accounts and groups as data, without any password."""
        return {
            "users": [vars(user) for user in self.users.values()],
            "groups": [vars(group) for group in self.groups.values()],
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Records:
        users = [User(**each) for each in data["users"]]
        groups = [Group(**each) for each in data["groups"]]
        return cls({each.name: each for each in users}, {each.name: each for each in groups})


def exist(root: Path) -> bool:
    """Return whether ``root`` has accounts of its own."""
    return (root / "etc" / "passwd").is_file()


def read(root: Path) -> Records:
    """Return all accounts and groups below ``root``."""
    etc, found = root / "etc", Records()
    try:
        shadow = {line[0]: line for line in _lines(etc / "shadow", found, 9)}
        found.passwords = {
            name: line[1] for name, line in shadow.items() if _SECRET.fullmatch(line[1])
        }
    except PermissionError:
        shadow, found.passwords = {}, None
    found.skipped = {}  # a shadow record without an account, or vice versa, is no loss
    ranges = _ranges(etc / "subuid"), _ranges(etc / "subgid")
    for line in _lines(etc / "passwd", found, 7):
        user = _user(line, shadow.get(line[0], []), *ranges)
        _enter(found, found.users, user, line[0])
    for line in _lines(etc / "group", found, 4):
        _enter(found, found.groups, _group(line), line[0])
    return found


def not_kept(every: Records, kept: Records, hub_users: Iterable[str]) -> dict[str, str]:
    """Return which of the hub's accounts are not saved, and why."""
    reasons = dict(kept.skipped)
    for name in hub_users:
        names = (system_name(f"jupyter-{name}"), name)
        if any(each in kept.users for each in names):
            continue
        known = any(each in every.users for each in names)
        why = "an account of the system" if known else "it has no account in /etc/passwd"
        reasons[f"user {name!a}"] = why
    return reasons


def of_hub(found: Records, hub_users: Iterable[str], root: Path, homes: Path) -> Records:
    """Return the accounts of the hub's users, with their groups.

    Those are the users that the hub knows, and those whose home directory is below ``homes``: an
    account may be created before its owner first logs in. Groups list only members that are saved.
    """
    names = {each for name in hub_users for each in (name, system_name(f"jupyter-{name}"))}
    users = {
        name: user
        for name, user in found.users.items()
        if (name in names and FIRST <= user.uid != NOBODY)
        or (FIRST <= user.uid <= LAST and _lives_in(user, root, homes))
    }
    own = {user.gid for user in users.values()}
    groups = {
        name: Group(name, group.gid, [each for each in group.members if each in users])
        for name, group in found.groups.items()
        if group.gid in own or not group.is_system or users.keys() & set(group.members)
    }
    passwords = found.passwords and {
        name: secret for name, secret in found.passwords.items() if name in users
    }
    return Records(users, groups, passwords, found.skipped)


def system_name(name: str) -> str:
    """Return the account's name as TLJH generates it: truncated, with a hash, if it is long.

    From ``tljh/normalize.py``.
    """
    if len(name) < 26:
        return name
    return f"{name[:26]}-{hashlib.sha256(name.encode()).hexdigest()[:5]}"


def _lives_in(user: User, root: Path, homes: Path) -> bool:
    home = root / user.home.lstrip("/")
    return home != homes and home.is_relative_to(homes) and ".." not in home.parts


def _lines(path: Path, found: Records, fields: int) -> Iterator[list[str]]:
    """Yield the records of one file; skip and count those with a bad name or number of fields."""
    with suppress(FileNotFoundError):
        for line in files.read(path).decode(errors="replace").split("\n"):
            parts = line.split(":")
            if len(parts) == fields and _NAME.fullmatch(parts[0]):
                yield parts
            elif line.strip() and not line.startswith("#"):
                _skip(found, path.name, parts[0], "neither a name nor a record that is understood")


def _enter(found: Records, table: dict[str, Any], record: Any, name: str) -> None:
    """Add a record; of two with the same name the first counts, as it does for the system."""
    if record is None or name in table:
        _skip(found, "passwd and group", name, "a second one, or its fields are not understood")
    else:
        table[name] = record


def _skip(found: Records, file: str, name: str, why: str) -> None:
    found.skipped[f"{name[:64]!a}, record {len(found.skipped) + 1} of {file}"] = why


def _user(line: list[str], shadow: list[str], *ranges: dict[str, list[list[int]]]) -> User | None:
    name, _, uid, gid, comment, home, shell = line
    numbers = _number(uid), _number(gid)
    plain = all(text.isprintable() and "\ufffd" not in text for text in (home, shell))
    if None in numbers or not plain or not home.startswith("/") or shell[:1] not in {"/", ""}:
        return None
    told = zip(_AGING, shadow[2:8], strict=False)
    return User(
        name=name,
        uid=int(uid),
        gid=int(gid),
        comment="".join(each for each in comment if each.isprintable()),
        home=home,
        shell=shell,
        aging={key: days for key, text in told if (days := _number(text)) is not None},
        subuids=ranges[0].get(name, []),
        subgids=ranges[1].get(name, []),
    )


def _group(line: list[str]) -> Group | None:
    name, _, gid, members = line
    if _number(gid) is None:
        return None
    return Group(name, int(gid), [each for each in members.split(",") if _NAME.fullmatch(each)])


def _ranges(path: Path) -> dict[str, list[list[int]]]:
    """Return the first ID and the size of each range, by user name."""
    found: dict[str, list[list[int]]] = {}
    for name, *numbers in _lines(path, Records(), 3):
        first, count = map(_number, numbers)
        if first and count:
            found.setdefault(name, []).append([first, count])
    return found


def _number(text: str) -> int | None:
    good = text.isascii() and text.isdecimal() and len(text) <= 10
    return int(text) if good and int(text) < (1 << 32) - 1 else None  # the last one means "none"
