"""Backup of users' files: one restic run over all homes."""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tljh_runbook.errors import BackupStalled, RepositoryDamaged, RunbookError
from tljh_runbook.hub.context import Source
from tljh_runbook.hub.core import files
from tljh_runbook.hub.snapshots.draft import Say
from tljh_runbook.hub.user_data import link_guard
from tljh_runbook.hub.user_data.homes import Homes
from tljh_runbook.hub.user_data.restic import repository, restic
from tljh_runbook.hub.user_data.restic.restic import Repository
from tljh_runbook.hub.user_data.restic.tree import escaped

TAG = "user-data"
STAGED = ".tljh-runbook*"  # name of the folders that hold files being restored
INCOMPLETE = 3  # restic's exit code if it could not read everything
NAMED = 5  # unread files listed in a note
GONE = 2  # ENOENT: a file that a running server removed during the backup
STALLED = 900.0  # seconds without progress after which a backup is aborted
LONG = 10**7  # seconds; restic's first estimates are meaningless


@dataclass(frozen=True)
class Stored:
    """The result of a restic backup: its snapshot, the total and the new data in bytes."""

    id: str
    files: int
    size: int
    added: int
    unread: list[str]
    unguarded: str = ""
    """Why links swapped in during the backup could have been followed; '' if not."""


@dataclass
class Progress:
    """The progress of a restic run, and when it last changed."""

    counts: tuple[int, ...] = ()
    since: float = 0.0

    def note(self, status: dict[str, Any], moment: float) -> None:
        """Record a status message that arrived at ``moment``, in seconds.

        Raises `BackupStalled` if there was no progress for a long time.
        """
        names = ("total_files", "files_done", "total_bytes", "bytes_done")
        counts = tuple(status.get(name, 0) for name in names)
        if counts != self.counts:
            self.counts, self.since = counts, moment
        elif moment - self.since > STALLED:
            at = ", ".join(
                map(ascii, status.get("current_files") or ["a file that it does not name"])
            )
            raise BackupStalled(
                f"restic made no progress for {STALLED / 60:.0f} minutes, so the backup of users' "
                f"files was ended. It was reading {at}.",
                hint="Look at that file, or leave it out with user_data.exclude. Then: "
                "tljh-runbook backup user-data",
            )


def keep(opened: Repository, source: Source, found: Homes, name: str, say: Say) -> Stored:
    """Back up all homes as the user data of the tljh-runbook snapshot ``name``.

    Raises what `restic.stream` raises.
    """
    arguments = ["backup", *_labels(opened, name), *excludes(source, found.paths)]
    arguments += ["--", *map(str, found.paths)]
    summary: dict[str, Any] = {}
    missed = set()
    unguarded = link_guard.refused(found.paths)
    wrapper = [] if unguarded else link_guard.command(found.paths)
    reading = restic.stream(opened, *arguments, good=(0, INCOMPLETE), wrapper=wrapper)
    watch = Progress()
    with closing(reading) as messages:
        for message in messages:
            kind = message.get("message_type")
            if kind == "status":
                watch.note(message, time.monotonic())
                say(progress(message))
            elif kind == "summary":
                summary = message
            elif kind == "error" and not gone(message["error"]):
                missed.add(str(message["item"]))
    return replace(_stored(opened, summary, sorted(missed)), unguarded=unguarded)


def verify(source: Source, kept: dict[str, Any], subset: str | None) -> str:
    """Check that a snapshot's user data exists; with ``subset`` ("5%"), also read that much.

    Returns what was done, or '' if the snapshot holds no user data.
    Raises `RepositoryDamaged` and what `repository.opened` raises.
    """
    if not kept.get("kept"):
        return ""
    opened = repository.opened(source)
    (found,) = restic.run(opened, "snapshots", kept["snapshot"])
    if not any(each["id"].startswith(kept["snapshot"]) for each in found or []):
        raise RepositoryDamaged(
            f"The repository {opened.masked} does not hold the user data of this snapshot.",
            hint="Was user_data.repository another one when the snapshot was made? Set that one, "
            "or make a backup in this one: tljh-runbook backup",
        )
    if not subset:
        return f"user data is in {opened.masked}, and was not read"
    repository.check(opened, subset)
    return f"user data in {opened.masked}: {subset} read, as it was kept"


def because(error: RunbookError) -> str:
    """Return one line: why users' files are not backed up, and what to do about it."""
    first = f"{error.message[:1].lower()}{error.message[1:]}"
    return f"user data is not backed up, because {first} {error.advice}"


def excludes(source: Source, paths: tuple[Path, ...]) -> list[str]:
    """Return the restic options that exclude the configured patterns and our own files."""
    file = source.hub.work / "exclude"
    file.unlink(missing_ok=True)
    # restic expands environment variables in an exclude file; $$ is a literal dollar sign.
    patterns = [each.replace("$", "$$") for each in source.settings.user_data.exclude]
    files.write_new(file, "".join(f"{each}\n" for each in patterns).encode())
    own = [source.backups, source.hub.work]
    folder = source.settings.user_data.repository.removeprefix("local:")
    if folder.startswith("/"):
        own.append(Path(folder))
    patterns = [escaped(str(path.resolve())) for path in own]
    patterns += [f"{escaped(str(path))}/{STAGED}" for path in paths]
    return [f"--exclude-file={file}", *(f"--exclude={each}" for each in patterns)]


def progress(status: dict[str, Any]) -> str:
    """Return the progress of a backup as a short text."""
    done, total = status.get("bytes_done", 0), status.get("total_bytes", 0)
    text = f"User data: {_size(done)} of {_size(total)}"
    text += f", {status.get('files_done', 0)} of {status.get('total_files', 0)} files"
    left = status.get("seconds_remaining", 0)
    return f"{text}, {left // 60}:{left % 60:02} left" if 0 < left < LONG else text


def gone(error: dict[str, Any]) -> bool:
    """Return whether an error only means that a file was removed during the backup."""
    return error.get("Err") == GONE or "no such file" in str(error.get("message", ""))


def _labels(opened: Repository, name: str) -> list[str]:
    tags = (repository.TAG, TAG, f"id={name}")
    return ["--host", opened.name, *(word for tag in tags for word in ("--tag", tag))]


def _stored(opened: Repository, summary: dict[str, Any], missed: list[str]) -> Stored:
    if "snapshot_id" not in summary:
        raise RepositoryDamaged(
            f"restic ended without saying what it has kept in {opened.masked}.",
            hint="Try again: tljh-runbook backup user-data",
        )
    return Stored(
        id=_whole(opened, summary["snapshot_id"]),
        files=summary["total_files_processed"],
        size=summary["total_bytes_processed"],
        added=summary["data_added"],
        unread=missed,
    )


def _whole(opened: Repository, short: str) -> str:
    """Return the full ID: older versions of restic print only a prefix, which they also accept."""
    places = [opened.folder] if opened.folder else list(opened.cache.glob("*"))
    found = {
        path.name
        for place in places
        for path in (place / "snapshots").rglob(f"{short}*")
        if path.is_file()
    }
    return found.pop() if len(found) == 1 else short


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 10**9 else f"{count / 1e6:.0f} MB"
