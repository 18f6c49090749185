"""Disk quotas of the users, as reported by repquota, if quotas are set up."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tljh_runbook.hub.accounts.accounts import User

REPORT = ["repquota", "--all", "--user", "--verbose", "--no-names", "--raw-grace", "--no-autofs"]
MOUNTS = Path("/proc/self/mounts")
SECONDS = 60
_DEVICE = re.compile(r"\*\*\* Report for user quotas on device (/\S+)")
# UID, flags; used, soft, hard, grace for blocks of 1 KiB, then the same for files
_LINE = re.compile(r"#(\d+)\s+[-+]{2}\s+\d+\s+(\d+)\s+(\d+)\s+\S+\s+\d+\s+(\d+)\s+(\d+)\s+\S+\s*")


@dataclass(frozen=True)
class Quota:
    """Soft and hard limits for blocks (KiB) and for files, of one user on one file system."""

    user: str
    mount: str
    limits: tuple[int, int, int, int]

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Quota:
        return cls(data["user"], data["mount"], tuple(data["limits"]))

    def command(self) -> list[str]:
        """Return the command that sets it."""
        return ["setquota", "-u", self.user, *map(str, self.limits), self.mount]


def of(users: Iterable[User], root: Path) -> list[Quota]:
    """Return the limits that are set for these users; none if quotas are not set up."""
    return read(*_asked(root), {user.uid: _told(user) for user in users})


def _told(user: User) -> str:
    """Return the user's name for setquota, or the UID if the name is all digits.

    setquota would treat such a name as a UID.
    """
    return str(user.uid) if user.name.isdecimal() else user.name


def mounts(root: Path) -> set[str]:
    """Return the mount points where quotas are enabled."""
    report, mounted = _asked(root)
    begins = filter(None, map(_DEVICE.fullmatch, report.splitlines()))
    return {_places(mounted).get(each[1], "") for each in begins} - {""}


def read(report: str, mounted: str, names: dict[int, str]) -> list[Quota]:
    """Return the limits that a report lists for the users in ``names``, which is keyed by UID."""
    places, found, place = _places(mounted), [], ""
    for line in report.splitlines():
        if begins := _DEVICE.fullmatch(line):
            place = places.get(begins[1], "")
        elif place and (told := _LINE.fullmatch(line)):
            uid, *limits = map(int, told.groups())
            if uid in names and any(limits):
                found.append(Quota(names[uid], place, (limits[0], limits[1], limits[2], limits[3])))
    return found


def _places(mounted: str) -> dict[str, str]:
    """Return the first mount point of each device, without unusual names, which are escaped."""
    lines = [line.split() for line in reversed(mounted.splitlines())]
    return {fields[0]: fields[1] for fields in lines if "\\" not in fields[1]}


def _asked(root: Path) -> tuple[str, str]:
    """Return the quota report and the mounts of the system; empty if the root is just a folder."""
    if root != Path("/"):
        return "", ""
    try:
        done = subprocess.run(
            REPORT,
            env={"LC_ALL": "C", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=SECONDS,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return "", ""
    return done.stdout.decode(errors="replace"), MOUNTS.read_text(errors="replace")
