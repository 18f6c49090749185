"""The hub knows the same users, admins and groups."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from tljh_runbook.hub.database import databases, hubdb
from tljh_runbook.hub.source import Source


class Accounts:
    name = "users and groups"
    vow = "Every user, admin and group member of the hub is still one, and nobody became admin."
    order = 3
    databases = frozenset({"jupyterhub"})

    def measure(self, source: Source) -> Any:
        found = databases.find(source.hub, source.services, source.settings)
        database = found["jupyterhub"]
        return {"users": hubdb.users(database), "groups": hubdb.groups(database)}

    def judge(self, before: Any, after: Any) -> tuple[bool, str]:
        wrong = [f"user {name} is gone" for name in before["users"] if name not in after["users"]]
        wrong += [
            f"{name} {'became' if admin else 'is no longer'} admin"
            for name, admin in after["users"].items()
            if admin != before["users"].get(name, False)
        ]
        wrong += [
            f"group {name} has changed"
            for name, members in before["groups"].items()
            if after["groups"].get(name) != members
        ]
        admins = sum(after["users"].values())
        counted = (
            f"{len(before['users'])} users, {admins} admin{'' if admins == 1 else 's'}, "
            f"{len(before['groups'])} group{'' if len(before['groups']) == 1 else 's'}"
        )
        return not wrong, "; ".join(wrong) or counted

    def shared(self, before: Any, after: Any, returned: Collection[str]) -> Any:
        del returned  # one database holds all of it
        groups = {name: each for name, each in before["groups"].items() if name in after["groups"]}
        return {
            "users": {
                name: admin and after["users"][name]
                for name, admin in before["users"].items()
                if name in after["users"]
            },
            "groups": {
                name: [member for member in members if member in after["groups"][name]]
                for name, members in groups.items()
            },
        }


PROMISE = Accounts()
