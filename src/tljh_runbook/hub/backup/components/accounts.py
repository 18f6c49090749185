"""The accounts of the hub's users: names, IDs, groups and passwords. Never whole files."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tljh_runbook.hub.accounts import account_restore, account_tools, accounts, quotas
from tljh_runbook.hub.accounts.accounts import Records
from tljh_runbook.hub.accounts.quotas import Quota
from tljh_runbook.hub.backup.components import NOTHING
from tljh_runbook.hub.context import Source
from tljh_runbook.hub.core import files
from tljh_runbook.hub.database import databases, hubdb
from tljh_runbook.hub.snapshots.draft import Folder
from tljh_runbook.hub.snapshots.manifest import Manifest
from tljh_runbook.hub.snapshots.restoration import Action, Restoration

RECORDS, PASSWORDS, SCRIPT = "accounts.json", "passwords", "give-back.sh"
ETC = ("passwd", "shadow", "group", "gshadow", "subuid", "subgid")


class Accounts:
    """The records of the hub's users and their groups in the files in ``/etc``."""

    name = "accounts"
    title = "Accounts"
    order = 10
    downtime = NOTHING
    kept = (
        "the account of every user of the hub, and of everybody whose home lies where the users' "
        "homes lie: name, number, home, shell, expiry, ranges of subordinate numbers",
        "the hashes of their passwords",
        "their groups and every group of people, with number and members",
        "how much of a disk each may take, where `repquota` knows it",
    )
    left_out = (
        (
            "accounts of the system and of its packages, also those that a hub user is named like",
            "Packages make them, with other numbers on another server. Who is in such a group, "
            "for example `docker`, is kept.",
        ),
        (
            "passwords of accounts that are there when accounts are restored",
            "Who changed a password since keeps the new one.",
        ),
        (
            "accounts that were made since",
            "They stay as they are: restoring adds what is missing and removes nothing.",
        ),
        ("other files of `/etc/sudoers.d`", "They are for the administrator to write."),
        (
            "users of the hub without a record in `/etc/passwd`",
            "Their account is created when their server starts for the first time, or is in a "
            "directory such as LDAP. The output of the backup names them.",
        ),
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
        every = accounts.read(root)
        kept = accounts.of_hub(every, hub_users, root, Path(source.settings.homes))
        limits = quotas.of(kept.users.values(), root)
        data = {**kept.to_json(), "quotas": [vars(each) for each in limits]}
        folder.write(RECORDS, json.dumps(data, indent=2) + "\n")
        lines = "".join(f"{shlex.join(each.command())}\n" for each in limits)
        folder.write(SCRIPT, account_tools.script(root, kept) + lines)
        secrets = kept.passwords or {}
        folder.write(PASSWORDS, "".join(f"{name}:{each}\n" for name, each in secrets.items()))
        return {
            "accounts": len(kept.users),
            "groups": len(kept.groups),
            "quotas": len(limits),
            "skipped": len(kept.skipped),
            "left_out": accounts.not_kept(every, kept, hub_users),
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

    def restore(self, restoration: Restoration) -> Iterable[Action]:
        data = _data(restoration.kept.path / self.name)
        kept, limits = _records(data, restoration.kept.path / self.name)
        if kept.users or kept.groups:
            yield from account_restore.actions(restoration, kept, limits)


def _has_account(name: str, kept: Records) -> bool:
    return name in kept.users or accounts.system_name(f"jupyter-{name}") in kept.users


def _note(kept: Records) -> dict[str, str]:
    if kept.passwords is not None or not kept.users:
        return {}
    return {
        "note": "The accounts are kept without their passwords, which only root may read. To keep "
        "them, run it with sudo."
    }


def _data(folder: Path) -> dict[str, Any]:
    """Return the records in a snapshot; empty if the server had no accounts."""
    if not (folder / RECORDS).exists():
        return {"users": [], "groups": [], "quotas": []}
    found: dict[str, Any] = json.loads(files.read(folder / RECORDS))
    return found


def _records(data: dict[str, Any], folder: Path) -> tuple[Records, list[Quota]]:
    kept = Records.from_json(data)
    if kept.users:
        lines = files.read(folder / PASSWORDS).decode().splitlines()
        kept.passwords = dict(line.split(":", 1) for line in lines)
    return kept, [Quota.from_json(each) for each in data["quotas"]]


COMPONENT = Accounts()
