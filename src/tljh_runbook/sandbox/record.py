"""The persistent state of a sandbox: sandbox.json, and the lock on its directory."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from tljh_runbook.errors import SandboxFailed
from tljh_runbook.sandbox.layout import Layout

FORMAT = 1


@dataclass(frozen=True)
class Record:
    """The contents of ``sandbox.json``; without it, the sandbox is incomplete."""

    address: str
    ports: dict[str, int]
    users: list[str]
    password: str
    format: int = FORMAT


def read(layout: Layout) -> Record | None:
    """Return the record, or None for an incomplete sandbox.

    Raises SandboxFailed if the record cannot be read.
    """
    try:
        return Record(**json.loads(layout.record.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (TypeError, ValueError) as error:
        raise SandboxFailed(
            f"{layout.record} cannot be read: {error}.",
            hint="Take the sandbox down and build it again.",
        ) from error


def write(layout: Layout, record: Record) -> None:
    """Mark the sandbox as complete, by writing its record atomically."""
    partial = layout.record.with_suffix(".partial")
    partial.unlink(missing_ok=True)
    write_private(partial, json.dumps(asdict(record), indent=2) + "\n")
    partial.replace(layout.record)


def write_private(path: Path, text: str) -> None:
    """Write a file that is created readable only by its owner."""
    with open(path, "w", encoding="utf-8", opener=_private) as file:
        file.write(text)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


@contextmanager
def locked(layout: Layout) -> Iterator[None]:
    """Lock the directory, which must exist, against other commands.

    The directory itself is locked, because a lock file would be left over when it is removed.
    Raises SandboxFailed immediately if another command holds the lock.
    """
    descriptor = os.open(layout.root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise SandboxFailed(
            f"Another command is at work on the sandbox in {layout.root}.",
            hint="Wait until it has ended, then try again.",
        ) from error
    finally:
        os.close(descriptor)
