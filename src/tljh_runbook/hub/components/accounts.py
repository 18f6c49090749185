"""The accounts of the hub's users: names, numbers, groups, passwords. Never whole files."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from tljh_runbook.errors import SnapshotDamaged
from tljh_runbook.hub import account_conflicts, account_tools, accounts, databases, files, hubdb
from tljh_runbook.hub.accounts import Records, User
from tljh_runbook.hub.capture import Folder
from tljh_runbook.hub.manifest import Manifest
from tljh_runbook.hub.restoration import Action, Restoration
from tljh_runbook.hub.source import Source

RECORDS, PASSWORDS, SCRIPT = "accounts.json", "passwords", "give-back.sh"
ETC = ("passwd", "shadow", "group", "gshadow", "subuid", "subgid")


class Accounts:
    """Records of the hub's users and their groups from the files in ``/etc``."""

    name = "accounts"
    title = "Accounts"
    order = 10
    kept = (
        "the account of every user of the hub, and of everybody whose home lies where the users' "
        "homes lie: name, number, home, shell, expiry, ranges of subordinate numbers",
        "the hashes of their passwords",
        "their groups and every group of people, with number and members",
    )
    left_out = (
        (
            "accounts of the system and of its packages",
            "Packages make them, with other numbers on another server. Who is in such a group, "
            "for example `docker`, is kept.",
        ),
        (
            "passwords of accounts that are there when accounts are given back",
            "Who changed a password since keeps the new one.",
        ),
        (
            "accounts that were made since",
            "They stay as they are: giving back adds what is missing and removes nothing.",
        ),
        ("other files of `/etc/sudoers.d`", "They are for the administrator to write."),
        ("empty passwords", "Nobody should get into the server without one."),
    )

    def size(self, source: Source) -> int:
        etc = source.hub.root / "etc"
        return 2 * sum((etc / name).stat().st_size for name in ETC if (etc / name).is_file())

    def capture(self, source: Source, folder: Folder) -> dict[str, Any]:
        root = source.hub.root
        if not accounts.exist(root):
            return {"accounts": 0, "groups": 0, "why": f"there is no passwd in {root / 'etc'}"}
        found = databases.find(source.hub, source.services, source.settings)
        hub_users = hubdb.users(found[databases.REQUIRED])
        kept = accounts.of_hub(accounts.read(root), hub_users, root, Path(source.settings.homes))
        folder.write(RECORDS, json.dumps(kept.to_json(), indent=2) + "\n")
        folder.write(SCRIPT, account_tools.script(root, kept))
        secrets = kept.passwords or {}
        folder.write(PASSWORDS, "".join(f"{name}:{each}\n" for name, each in secrets.items()))
        return {
            "accounts": len(kept.users),
            "groups": len(kept.groups),
            "skipped": kept.skipped,
            "without_account": sum(not _has_account(name, kept) for name in hub_users),
            **_note(kept),
        }

    def by_hand(self, manifest: Manifest) -> Iterable[str]:
        if manifest.of(self.name):
            yield "# It adds what is missing, and stops before a conflict. Read it first:"
            yield f"cat {self.name}/{SCRIPT}"
            yield f"sh {self.name}/{SCRIPT}"
        else:
            yield "# The server had no accounts of its own."

    def give_back(self, restoration: Restoration) -> Iterable[Action]:
        kept = _records(restoration.kept.path / self.name)
        root = restoration.source.hub.root
        if not (kept.users or kept.groups):
            return
        if not accounts.exist(root):
            restoration.say(f"No accounts are given back: there is no passwd in {root / 'etc'}.")
            return
        now = accounts.read(root)
        account_conflicts.refuse(kept, now)
        yield from _groups(root, kept, now)
        yield from _users(root, kept, now)
        yield from _members(restoration, kept, now)


def _has_account(name: str, kept: Records) -> bool:
    return name in kept.users or accounts.system_name(f"jupyter-{name}") in kept.users


def _note(kept: Records) -> dict[str, str]:
    if kept.passwords is not None or not kept.users:
        return {}
    return {
        "note": "The accounts are kept without their passwords, which only root may read. To keep "
        "them, run it with sudo."
    }


def _records(folder: Path) -> Records:
    """Return what a snapshot holds, which is nothing of a server without accounts."""
    if not (folder / RECORDS).exists():
        return Records()
    try:
        kept = Records.from_json(json.loads(files.read(folder / RECORDS)))
    except (ValueError, KeyError, TypeError) as error:
        raise SnapshotDamaged(
            f"{folder / RECORDS} cannot be read: {error}. Nothing was changed.",
            hint="Choose another snapshot. tljh-runbook snapshots lists them.",
        ) from None
    lines = files.read(folder / PASSWORDS).decode().splitlines()
    kept.passwords = dict(line.split(":", 1) for line in lines)
    return kept


def _groups(root: Path, kept: Records, now: Records) -> Iterator[Action]:
    for name in account_tools.own_groups(kept):
        if name not in now.groups:
            gid = kept.groups[name].gid
            command = account_tools.add_group(root, name, gid)
            make = partial(account_tools.run, command)
            yield Action(f"group {name}", "missing", f"number {gid}", make)


def _users(root: Path, kept: Records, now: Records) -> Iterator[Action]:
    for user in kept.users.values():
        secret = (kept.passwords or {}).get(user.name)
        if user.name not in now.users:
            make = partial(_make, root, user, secret)
            yield Action(f"account {user.name}", "missing", f"number {user.uid}", make)
        # As it is left where an earlier run was ended between the account and its password.
        elif secret and (now.passwords or {}).get(user.name) == account_tools.UNSET != secret:
            give = partial(_set_password, root, user, secret)
            yield Action(f"password of {user.name}", "none", "as kept", give)


def _make(root: Path, user: User, secret: str | None) -> None:
    account_tools.run(account_tools.add_user(root, user))
    for command in account_tools.add_ranges(root, user):
        account_tools.run(command)
    _set_password(root, user, secret)


def _set_password(root: Path, user: User, secret: str | None) -> None:
    if secret:
        account_tools.run(account_tools.set_password(root), f"{user.name}:{secret}\n")
    # Afterwards: a new password begins a new term.
    for command in account_tools.set_aging(root, user):
        account_tools.run(command)


def _members(restoration: Restoration, kept: Records, now: Records) -> Iterator[Action]:
    root = restoration.source.hub.root
    own = set(account_tools.own_groups(kept))
    for name in kept.users:
        lacking = [
            group.name
            for group in kept.groups.values()
            if name in group.members
            and name not in (now.groups[group.name].members if group.name in now.groups else ())
        ]
        for group_name in [each for each in lacking if each not in own | now.groups.keys()]:
            restoration.say(f"{name} was in the group {group_name}, which no package made yet.")
            lacking.remove(group_name)
        if lacking:
            command = account_tools.join(root, name, lacking)
            give = partial(account_tools.run, command)
            yield Action(f"groups of {name}", f"not in {', '.join(lacking)}", "as kept", give)


COMPONENT = Accounts()
