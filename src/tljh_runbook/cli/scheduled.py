"""The commands that systemd's timers run, and the one that tells when they fail."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path

import click

from tljh_runbook import terminal
from tljh_runbook.cli.options import HUB, SETTINGS, on_hub, told
from tljh_runbook.errors import SettingsInvalid
from tljh_runbook.hub.context import Source
from tljh_runbook.hub.core import settings
from tljh_runbook.hub.core.layout import Hub
from tljh_runbook.hub.runs import run_record
from tljh_runbook.hub.runs.run_record import Seen, Values
from tljh_runbook.hub.schedule import notice, scheduled

ERROR = "<3>"  # the priority of a line in the journal, see sd-daemon(3)


@click.command(name="scheduled")
@click.argument("task", type=click.Choice(list(scheduled.TASKS)))
@on_hub(whole=False)
def scheduled_(source: Source, task: str, *, as_json: bool) -> None:
    """Do what a timer starts, and record how it went: backup or verify.

    The backup keeps all components, then removes old snapshots as the settings `keep` say. The
    verification reads the newest snapshot whole, and a sample of the users' files.

    \b
    Examples:
      tljh-runbook scheduled backup
      tljh-runbook scheduled verify
    """
    record = scheduled.run(source, task, terminal.progress, terminal.warning)
    if as_json:
        terminal.data(record)
    else:
        terminal.line(_done(record))


@click.command(name="notice")
@click.argument("unit", type=click.Choice(list(notice.UNITS)), metavar="UNIT")
@HUB
@SETTINGS
def notice_(unit: str, hub: Path, file: Path | None) -> None:
    """Tell that a scheduled run has failed, why, and what to type: what OnFailure= starts.

    \b
    Example:
      tljh-runbook notice tljh-runbook-backup.service
    """
    with told(as_json=False):
        found = Hub(hub.absolute())
        said = notice.lines(found, notice.UNITS[unit])
        mailed = [terminal.clean(terminal.typed(each)) for each in said]
        failed = notice.mail(_mail_to(found, file), mailed)
        for each in [*said, *filter(None, [failed])]:
            terminal.line(f"{_priority()}{each}")


def _mail_to(hub: Hub, file: Path | None) -> str:
    """Return who gets a mail; a settings file that cannot be read may be just what failed."""
    try:
        return settings.load(hub, file).scheduled.mail_to
    except SettingsInvalid:
        return settings.ScheduledSettings().mail_to


def _priority() -> str:
    """Return the mark of an error where the journal reads what we print, and nothing elsewhere."""
    with suppress(OSError):
        status = os.fstat(sys.stdout.fileno())
        if os.environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}":
            return ERROR
    return ""


def runs(found: Sequence[Seen]) -> None:
    """Print when the scheduled runs are due, and how they went."""
    terminal.line("")
    if any(each.timer.active or each.last for each in found):
        rows = [[each.task, _due(each), _last(each)] for each in found]
        terminal.table(["scheduled", "next", "last"], rows)
    else:
        terminal.line(f"No backup is scheduled: {found[0].timer.absent}.")


def _due(seen: Seen) -> str:
    if not seen.timer.active:
        return "not scheduled"
    if not seen.timer.next:
        return "not known"
    left = (seen.timer.next - datetime.now(timezone.utc)).total_seconds()
    return f"{seen.timer.next:{run_record.MOMENT}}, in {terminal.age(left)}"


def _last(seen: Seen) -> str:
    last = seen.last
    if seen.running:
        return "runs now"
    if not last:
        return "none"
    if seen.cut_off:
        return f"{last['at']}, was cut off before its end"
    if last["error"]:
        return f"{last['at']}, failed: {last['error']['message']}"
    return f"{last['at']}, ended well"


def _done(record: Values) -> str:
    good, task = record["success"], record["task"]
    size, user_data = terminal.size(good["size"]), terminal.size(good["user_data"])
    done = f"Scheduled {task}: snapshot {good['snapshot']} is whole, {size}, and {user_data}"
    return f"{done} of user data. It took {record['seconds']} s."


COMMANDS = (scheduled_, notice_)
