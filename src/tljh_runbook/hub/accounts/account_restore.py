"""Restoring accounts: add those that are missing, leave existing ones unchanged."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from tljh_runbook.hub.accounts import account_conflicts, account_tools, accounts, quotas
from tljh_runbook.hub.accounts.accounts import Records, User
from tljh_runbook.hub.accounts.quotas import Quota
from tljh_runbook.hub.snapshots.restoration import Action, Restoration


def actions(restoration: Restoration, kept: Records, limits: list[Quota]) -> Iterator[Action]:
    """Yield an action for everything to add. Raises `AccountConflict` before the first one."""
    root = restoration.source.hub.root
    if not accounts.exist(root):
        restoration.notes.append(f"No accounts are restored: there is no passwd in {root / 'etc'}.")
        return
    now = accounts.read(root)
    account_conflicts.refuse(kept, now)
    yield from _groups(root, kept, now)
    yield from _users(root, kept, now)
    yield from _members(restoration, kept, now)
    yield from _limits(restoration, kept, limits)


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
        # An earlier run was interrupted after it created the account, before it set the password.
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
    # After the password, because setting one restarts its age.
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
            restoration.notes.append(
                f"{name} was in the group {group_name}, which no package made yet."
            )
            lacking.remove(group_name)
        if lacking:
            command = account_tools.join(root, name, lacking)
            give = partial(account_tools.run, command)
            yield Action(f"groups of {name}", f"not in {', '.join(lacking)}", "as kept", give)


def _limits(restoration: Restoration, kept: Records, limits: list[Quota]) -> Iterator[Action]:
    root = restoration.source.hub.root
    enabled = quotas.mounts(root) if limits else set()
    now = quotas.of(kept.users.values(), root) if limits else []
    for mount in sorted({each.mount for each in limits} - enabled):
        restoration.notes.append(
            f"Quotas of {mount} are not restored: they are not switched on there."
        )
    for each in limits:
        if each.mount in enabled and each not in now:
            change = partial(account_tools.run, each.command())
            yield Action(f"quota of {each.user} on {each.mount}", "differs", "as kept", change)
