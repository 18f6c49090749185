"""Accounts and groups on the server that conflict with those in a snapshot.

Files belong to numeric IDs, so a name with a different ID, or an ID with a different name, would
give one user's files to another.
"""

from __future__ import annotations

from collections.abc import Iterator

from tljh_runbook.errors import AccountConflict
from tljh_runbook.hub.accounts import account_tools
from tljh_runbook.hub.accounts.accounts import Records


def refuse(kept: Records, now: Records) -> None:
    """Raise `AccountConflict`, naming all conflicts, if there are any."""
    if told := "; ".join(_found(kept, now)):
        raise AccountConflict(
            f"Accounts cannot be restored as they were: {told}. Nothing was changed.",
            hint="Files belong to numbers, not to names. Rename or renumber the account that is "
            "in the way (usermod --uid, groupmod --gid), then restore again.",
        )


def _found(kept: Records, now: Records) -> Iterator[str]:
    owners = {user.uid: user.name for user in now.users.values()}
    for user in kept.users.values():
        there = now.users.get(user.name)
        if there and there.uid != user.uid:
            yield f"{user.name} has the number {there.uid} and had {user.uid}"
        elif not there and user.uid in owners:
            yield f"the number {user.uid} of {user.name} belongs to {owners[user.uid]}"
    holders = {group.gid: group.name for group in now.groups.values()}
    for name in account_tools.own_groups(kept):
        group, same = kept.groups[name], now.groups.get(name)
        if same and same.gid != group.gid:
            yield f"the group {name} has the number {same.gid} and had {group.gid}"
        elif not same and group.gid in holders:
            yield f"the number {group.gid} of the group {name} belongs to {holders[group.gid]}"
