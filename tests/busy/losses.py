"""Lose the server of a user on purpose while the hub is upgraded, as a bad upgrade would."""

from __future__ import annotations

import os
import re
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from crowd import VICTIM

from tljh_runbook import errors
from tljh_runbook.hub.system import processes, services
from tljh_runbook.hub.system.services import Services
from tljh_runbook.sandbox.layout import Layout

EVERY = 0.02  # seconds between two looks
ROUTE = re.compile(rf"^\[http\.routers\.\S*{VICTIM}\S*\]\n(?:(?!\[).*\n)*", re.M)
Loss = Callable[[threading.Event], None]


def of(kind: str, place: Layout, manager: Services, pid: int) -> Loss:
    """Return what loses the server with a process, in the way that ``kind`` names."""
    losses: dict[str, Loss] = {
        "killed": partial(_signal, manager, pid, signal.SIGKILL),
        # It does not answer when the hub looks for it at its start: the hub gives it up.
        "given up": partial(_signal, manager, pid, signal.SIGSTOP),
        "no route": partial(_unroute, place, manager),
    }
    return losses[kind]


KINDS = ("killed", "given up", "no route")


def _signal(manager: Services, pid: int, number: int, stop: threading.Event) -> None:
    if _wait_until_down(manager, stop):
        os.kill(pid, number)


def _unroute(place: Layout, manager: Services, stop: threading.Event) -> None:
    """Take the server's route out of what the proxy reads, as often as the hub writes it."""
    file = place.state / "rules" / "rules.toml"
    if not _wait_until_down(manager, stop):
        return
    while not stop.wait(EVERY):
        with suppress(OSError):
            text = file.read_text(encoding="utf-8")
            left = ROUTE.sub("", text)
            if left != text:
                file.write_text(left, encoding="utf-8")


def _wait_until_down(manager: Services, stop: threading.Event) -> bool:
    """Return when the hub's process has ended; say whether it has."""
    running = manager.pid(services.HUB)
    while not stop.wait(EVERY):
        with suppress(errors.RunbookError):
            if not running or processes.started(running) is None:
                return True
    return False
