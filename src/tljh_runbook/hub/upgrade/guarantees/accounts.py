"""The guarantee that the hub keeps its users, admins and groups."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from tljh_runbook.hub.context import Source
from tljh_runbook.hub.database import databases, hubdb
from tljh_runbook.hub.database.sql import Database
from tljh_runbook.hub.upgrade import guarantees


class Accounts:
    name = "users and groups"
    statement = (
        "The upgrade removes no user, no admin and no member of a group, and makes nobody admin."
    )
    order = 3
    databases = frozenset({"jupyterhub"})

    look = guarantees.HUB

    def measure(self, source: Source) -> Any:
        return self.when_stopped({}, databases.find(source.hub, source.services, source.settings))

    def when_stopped(self, before: Any, found: Mapping[str, Database]) -> Any:
        del before
        database = found["jupyterhub"]
        return {"users": hubdb.users(database), "groups": hubdb.groups(database)}

    def judge(self, before: Any, after: Any) -> tuple[bool, str]:
        wrong = [*_gone(before, after), *_admins(before, after)]
        admins = sum(after["users"].values())
        counted = (
            f"{len(before['users'])} users, {admins} admin{'' if admins == 1 else 's'}, "
            f"{len(before['groups'])} group{'' if len(before['groups']) == 1 else 's'}"
        )
        return not wrong, "; ".join(wrong or [counted, *_new(before, after)])

    def since(self, first: Any, after: Any) -> str:
        changes = [*_gone(first, after), *_admins(first, after), *_new(first, after)]
        return ", ".join(changes)

    def shared(self, before: Any, after: Any, returned: Collection[str]) -> Any:
        del returned  # only one database holds accounts
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


def _gone(before: Any, after: Any) -> Iterator[str]:
    """Yield the users, groups and group members that are gone."""
    for name in before["users"]:
        if name not in after["users"]:
            yield f"user {name} is gone"
    for group, members in before["groups"].items():
        if group not in after["groups"]:
            yield f"group {group} is gone"
            continue
        for name in members:
            if name not in after["groups"][group]:
                yield f"{name} is no longer in the group {group}"


def _admins(before: Any, after: Any) -> Iterator[str]:
    for name, admin in after["users"].items():
        if admin != before["users"].get(name, False):
            yield f"{name} {'became' if admin else 'is no longer'} admin"


def _new(before: Any, after: Any) -> Iterator[str]:
    """Yield the users and group members that are new.

    A login can add both: OAuth providers also supply groups.
    """
    for name in after["users"]:
        if name not in before["users"]:
            yield f"user {name} is new"
    for group, members in after["groups"].items():
        for name in members:
            if name not in before["groups"].get(group, []):
                yield f"{name} is new in the group {group}"


GUARANTEE = Accounts()
