"""One run at a time: an advisory lock that the kernel releases when its holder dies."""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tljh_runbook.errors import Busy
from tljh_runbook.hub.core import files

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tljh_runbook.hub.core.layout import Hub

NAME = "lock"
PATIENCE = 1.0  # seconds: `held` takes the lock briefly, which must not look like a run


@contextmanager
def hold(hub: Hub, what: str, name: str = NAME, patience: float = PATIENCE) -> Iterator[None]:
    """Hold the hub's lock while ``what`` is done.

    A lock with another ``name`` is separate, for runs that only conflict with their own kind.
    Raises `Busy` if another run still holds the lock after ``patience`` seconds.
    """
    files.make_private(hub.work)
    file = hub.work / name
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    os.set_inheritable(descriptor, True)  # for the installer, which may outlive this process
    try:
        deadline = time.monotonic() + patience
        while not _taken(descriptor):
            if time.monotonic() > deadline:
                raise Busy(
                    f"Another run works on this hub, so {what} was not started. "
                    "Nothing was changed.",
                    hint="Wait until it has ended. To see what it does: tljh-runbook status",
                )
            time.sleep(0.05)
        yield
    finally:
        os.close(descriptor)


def held(hub: Hub, name: str = NAME) -> bool:
    """Return whether a run holds the hub's lock, or the one with another ``name``."""
    try:
        descriptor = os.open(hub.work / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        return not _taken(descriptor, fcntl.LOCK_SH)  # two checks do not block each other
    finally:
        os.close(descriptor)


def _taken(descriptor: int, how: int = fcntl.LOCK_EX) -> bool:
    try:
        fcntl.flock(descriptor, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
