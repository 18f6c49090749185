"""System commands that create accounts and groups, as lists and as a script.

Passwords are passed on standard input, because anyone can read command lines.
"""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tljh_runbook.errors import RestoreFailed, ToolMissing
from tljh_runbook.hub.accounts.accounts import Records, User

_AGING = {
    "changed": "--lastday",
    "min": "--mindays",
    "max": "--maxdays",
    "warn": "--warndays",
    "inactive": "--inactive",
    "expire": "--expiredate",
}
UNSET = "!"  # what useradd writes in place of a password
_HEAD = """\
# Adds the accounts and groups that are missing. It changes nothing of those that are there.
# Run as root in the folder of the snapshot: sh accounts/give-back.sh
set -eu
number() {  # file, name, number: stop when the name is there under another number
  if grep -q "^$2:" "$1" && ! grep -q "^$2:[^:]*:$3:" "$1"; then
    echo "$2 is there already, with another number than $3. Nothing was changed." >&2
    exit 1
  fi
}
"""


def add_group(root: Path, name: str, gid: int) -> list[str]:
    return ["groupadd", *_prefix(root), "--gid", str(gid), name]


def add_user(root: Path, user: User) -> list[str]:
    """Return the command that creates an account, without home, password or subordinate IDs."""
    # Subordinate IDs are restored as they were, so useradd must not allocate any.
    fixed = ["--badname", "--no-create-home", "--no-user-group"]
    fixed += ["--key", "SUB_UID_COUNT=0", "--key", "SUB_GID_COUNT=0"]
    numbers = ["--uid", str(user.uid), "--gid", str(user.gid)]
    about = ["--comment", user.comment, "--home-dir", user.home, "--shell", user.shell]
    return ["useradd", *_prefix(root), *fixed, *numbers, *about, user.name]


def add_ranges(root: Path, user: User) -> list[list[str]]:
    words = [word for each in user.subuids for word in ("--add-subuids", _range(*each))]
    words += [word for each in user.subgids for word in ("--add-subgids", _range(*each))]
    return [["usermod", *_prefix(root), *words, user.name]] if words else []


def join(root: Path, name: str, groups: list[str]) -> list[str]:
    return ["usermod", *_prefix(root), "--append", "--groups", ",".join(groups), name]


def set_password(root: Path) -> list[str]:
    """Return the command that reads ``name:hash`` from standard input."""
    return ["chpasswd", *_chroot(root), "--encrypted"]


def set_aging(root: Path, user: User) -> list[list[str]]:
    words = [word for key, days in user.aging.items() for word in (_AGING[key], str(days))]
    return [["chage", *_chroot(root), *words, user.name]] if words else []


def run(command: list[str], given: str = "") -> None:
    """Run one of these commands. Raises `RestoreFailed`, `ToolMissing`."""
    try:
        done = subprocess.run(command, input=given, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        package = "quota" if command[0] == "setquota" else "passwd"
        raise ToolMissing(
            f"The program {command[0]} is not installed. Accounts that were made so far stay.",
            hint=f"Install it: sudo apt-get install {package}",
        ) from None
    if done.returncode != 0:
        said = " ".join(done.stderr.split()) or f"it ended with {done.returncode}"
        raise RestoreFailed(
            f"{command[0]} did not do its work for {command[-1]}: {said}. Accounts that were made "
            "so far stay.",
            hint="Mend what it says, then restore again: what is done is not done twice.",
        )


def script(root: Path, kept: Records) -> str:
    """Return a shell script for restoring the accounts manually."""
    lines = [*_checks(root, kept), *_groups(root, kept), *_users(root, kept)]
    return _HEAD + "".join(f"{line}\n" for line in [*lines, *_members(root, kept)])


def _checks(root: Path, kept: Records) -> Iterator[str]:
    passwd, group = (shlex.quote(str(root / "etc" / name)) for name in ("passwd", "group"))
    for user in kept.users.values():
        yield f"number {passwd} {_pattern(user.name)} {user.uid}"
    for each in own_groups(kept):
        yield f"number {group} {_pattern(each)} {kept.groups[each].gid}"


def _groups(root: Path, kept: Records) -> Iterator[str]:
    for name in own_groups(kept):
        command = shlex.join(add_group(root, name, kept.groups[name].gid))
        yield f"{_has(root, 'group', name)} || {command}"


def _users(root: Path, kept: Records) -> Iterator[str]:
    for user in kept.users.values():
        secret = (kept.passwords or {}).get(user.name)
        commands = [add_user(root, user), *add_ranges(root, user)]
        commands += [] if secret else set_aging(root, user)
        yield f"{_has(root, 'passwd', user.name)} || {{ {_sequence(commands)}; }}"
        if secret:
            yield _password_line(root, user)


def _password_line(root: Path, user: User) -> str:
    shadow = shlex.quote(str(root / "etc" / "shadow"))
    unset = f"grep -q '^{_escaped(user.name)}:{UNSET}:' {shadow}"
    kept = f"grep '^{_escaped(user.name)}:' accounts/passwords"
    give = f"{kept} | {shlex.join(set_password(root))}"
    aging = _sequence(set_aging(root, user)) or "true"
    return f"if {unset}; then {give}; {aging}; fi"


def _members(root: Path, kept: Records) -> Iterator[str]:
    for name, group in kept.groups.items():
        for member in group.members:
            # A package's group is missing until the package is installed.
            command = shlex.join(join(root, member, [name]))
            yield f"if {_has(root, 'group', name)}; then {command}; fi"


def own_groups(kept: Records) -> list[str]:
    """Return the groups that a restore creates if they are missing."""
    primary = {user.gid for user in kept.users.values()}
    return [name for name, each in kept.groups.items() if each.gid in primary or not each.is_system]


def _sequence(commands: list[list[str]]) -> str:
    return " && ".join(map(shlex.join, commands))


def _has(root: Path, file: str, name: str) -> str:
    return f"grep -q '^{_escaped(name)}:' {shlex.quote(str(root / 'etc' / file))}"


def _pattern(name: str) -> str:
    return shlex.quote(_escaped(name))


def _escaped(name: str) -> str:
    return re.sub(r"[][\\.*^$]", r"\\\g<0>", name)  # "+" is literal in grep's basic regex


def _range(first: int, count: int) -> str:
    return f"{first}-{first + count - 1}"


def _prefix(root: Path) -> list[str]:
    return [] if root == Path("/") else ["--prefix", str(root)]


def _chroot(root: Path) -> list[str]:
    return [] if root == Path("/") else ["--root", str(root)]
