"""When a scheduled run is due, from systemd's timers."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timezone

SHOWN = ("ActiveState", "NextElapseUSecRealtime", "LastTriggerUSec")
UTC = {"TZ": "UTC", "LC_ALL": "C"}
"""The environment for systemctl, which otherwise prints times in the local language and zone."""
MOMENT = "%a %Y-%m-%d %H:%M:%S UTC"  # %Z would accept the local time zone too


@dataclass(frozen=True)
class Timer:
    """A timer; a time is None if there is none, such as the next run of an inactive timer."""

    active: bool = False
    next: datetime | None = None
    last: datetime | None = None
    absent: str = "the page 'Scheduling' says how"
    """The text to show while there is no timer."""


NONE = Timer(absent="a sandbox has no timers")


def of_systemd(shown: str) -> Timer:
    """Parse the output of ``systemctl show`` for a timer, which may not exist."""
    values = dict(line.partition("=")[::2] for line in shown.splitlines())
    if values.get("ActiveState") != "active":
        return Timer()
    return Timer(
        active=True,
        next=_moment(values, "NextElapseUSecRealtime"),
        last=_moment(values, "LastTriggerUSec"),
    )


def _moment(values: Mapping[str, str], name: str) -> datetime | None:
    with suppress(ValueError):
        found = datetime.strptime(values.get(name, ""), MOMENT)
        return found.replace(tzinfo=timezone.utc)
    return None
