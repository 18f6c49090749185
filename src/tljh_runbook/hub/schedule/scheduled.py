"""Unattended runs: the daily backup and the weekly verification.

Nobody watches a terminal then, so the result is recorded and reported to external monitoring.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tljh_runbook.errors import BackupIncomplete, HomesLost, RunbookError
from tljh_runbook.hub.backup import capture, components, retention
from tljh_runbook.hub.backup.components import Component
from tljh_runbook.hub.context import Source
from tljh_runbook.hub.core import layout
from tljh_runbook.hub.runs import run_record
from tljh_runbook.hub.runs.run_record import Record, Seen, Values
from tljh_runbook.hub.schedule import metrics, ping
from tljh_runbook.hub.schedule.ping import Ping
from tljh_runbook.hub.snapshots import snapshot
from tljh_runbook.hub.snapshots.manifest import Manifest
from tljh_runbook.hub.snapshots.snapshot import Snapshot
from tljh_runbook.hub.upgrade import state_file
from tljh_runbook.hub.user_data import presence, user_files

USER_DATA = "user-data"
Say = Callable[[str], None]


def look(source: Source) -> list[Seen]:
    """Return the status of every task."""
    return [
        run_record.seen(source.hub, task, source.services.timer(run_record.unit(task)))
        for task in TASKS
    ]


def run(source: Source, task: str, say: Say, warn: Say) -> Values:
    """Run the task, record and report the result, and return the record.

    Raises what the task raises, after reporting it. Errors in reporting are only warnings.
    """
    with run_record.begun(source.hub, task) as record:
        watchman = ping.of(source, task, warn)
        try:
            with _ended(source, record, watchman, warn):
                _write(record, warn)
                watchman.start()
                TASKS[task](source, record, say)
        finally:
            for note in record.values["notes"]:
                warn(note)
    return record.values


@contextmanager
def _ended(source: Source, record: Record, watchman: Ping, warn: Say) -> Iterator[None]:
    """Record and report the end of the run, even if an exception ends it."""
    error: BaseException | None = None
    try:
        yield
    except BaseException as raised:
        error = raised
        raise
    finally:
        record.end(error)
        _write(record, warn)
        try:
            metrics.write(source, TASKS)
        except OSError as failed:
            warn(f"The metrics were not written: {failed.filename}: {failed.strerror}.")
        watchman.end(record.values["code"], _summary(record.values))


def _write(record: Record, warn: Say) -> None:
    try:
        record.write()
    except OSError as error:  # a full disk must not stop a backup to another disk
        warn(f"How the run goes could not be recorded: {error.filename}: {error.strerror}.")


def _summary(values: Values) -> str:
    if values["error"]:
        return str(values["error"]["message"])
    good = values["success"]
    return f"{values['task']} of {good['snapshot']}: {good['size'] + good['user_data']} bytes"


def _backup(source: Source, record: Record, say: Say) -> None:
    """Make a snapshot of all components, then remove old ones according to the settings."""
    layout.find(source.hub.prefix)  # don't back up what remains of a broken hub
    wanted = components.every()
    made = capture.create(source, wanted, say)
    record.values["notes"] = made.notes
    _require_whole(made, wanted)
    _succeed(record, made.manifest)
    try:
        retention.remove(
            source, retention.judge(source, state_file.needed_snapshots(source.hub), say), say
        )
    except RunbookError as error:
        error.add(f"The new snapshot {made.path.name} is good: only old ones were not all removed.")
        raise


def _require_whole(made: Snapshot, wanted: tuple[Component, ...]) -> None:
    found = [made.manifest.components[each.name] for each in wanted]
    why = " ".join(str(each.get("note", "")) for each in found if not each.get("kept", True))
    unread = [what for each in found for what in each.get("unread", {})]
    if unread:
        why = f"{why} {len(unread)} files could not be read.".strip()
    if not why and made.lost:
        raise HomesLost(
            f"The snapshot {made.path.name} does not hold all users' files: "
            f"{presence.told(made.lost)}. Older snapshots that do are retained.",
            hint=presence.HINT,
        )
    if why:
        raise BackupIncomplete(
            f"The snapshot {made.path.name} does not hold everything: {why}",
            hint="Do what it says, then make another one: tljh-runbook scheduled backup",
        )


def _verify(source: Source, record: Record, say: Say) -> None:
    """Verify the newest snapshot completely, and a sample of the users' files."""
    found = snapshot.verify(snapshot.find(source.backups, None), say)
    kept = _with_user_data(source)
    say("A sample of the user data")
    user_files.verify(source, kept.components[USER_DATA], f"{source.settings.scheduled.sample}%")
    _succeed(record, found.manifest)


def _with_user_data(source: Source) -> Manifest:
    """Return the newest snapshot of this hub that contains user data."""
    for path in reversed(snapshot.listed(source.backups)):
        kept = snapshot.read(path).manifest
        if kept.hub == str(source.hub.prefix) and kept.components.get(USER_DATA, {}).get("kept"):
            return kept
    raise BackupIncomplete(
        f"No snapshot in {source.backups} holds user data.",
        hint="Make one that does: tljh-runbook backup",
    )


def _succeed(record: Record, kept: Manifest) -> None:
    size = kept.components.get(USER_DATA, {}).get("bytes", 0)
    record.succeed(kept.id, kept.size, size)


TASKS: dict[str, Callable[[Source, Record, Say], None]] = {"backup": _backup, "verify": _verify}
