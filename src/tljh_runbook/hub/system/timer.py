"""When a scheduled run is due, as systemd tells it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timezone

SHOWN = ("ActiveState", "NextElapseUSecRealtime", "LastTriggerUSec")
UTC = {"TZ": "UTC", "LC_ALL": "C"}
"""systemctl's environment: it tells a moment in words, and in the time zone that is set."""
MOMENT = "%a %Y-%m-%d %H:%M:%S UTC"  # %Z would take the local zone, too


@dataclass(frozen=True)
class Timer:
    """One timer; a moment is None where there is none, such as the next one of what is off."""

    active: bool = False
    next: datetime | None = None
    last: datetime | None = None
    absent: str = "the page 'Scheduling' says how"
    """What to tell while there is none."""


NONE = Timer(absent="a sandbox has no timers")


def of_systemd(shown: str) -> Timer:
    """Return what ``systemctl show`` tells of a timer, of one that is not there as well."""
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
