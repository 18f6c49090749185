"""Telling a watchman elsewhere how a scheduled run goes, as healthchecks.io understands it.

Whoever knows the address can feign a success, so it is never shown: not in a message, not in argv.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit, urlunsplit

from tljh_runbook.errors import SettingsInvalid
from tljh_runbook.hub.context import Source
from tljh_runbook.hub.core import private_lines
from tljh_runbook.hub.system import http_client

TIMEOUT = 5.0  # seconds for each step of one request
LIMIT = 10.0  # seconds for all of it: a name server or a slow answer must not hold up a run
LONGEST = 1000  # signs of a message that are sent
SETTING = "scheduled.ping_file"
Warn = Callable[[str], None]


@dataclass
class Ping:
    """The watchman of one task; without an ``url`` nobody is told anything."""

    url: str = field(repr=False)
    warn: Warn

    def start(self) -> None:
        """Tell that the run begins."""
        self._send("/start", "")

    def end(self, code: int, text: str) -> None:
        """Tell how the run ended, and a short ``text`` for the person who looks at it."""
        self._send("/fail" if code else "", text[:LONGEST])

    def _send(self, suffix: str, text: str) -> None:
        if not self.url:
            return
        wrong = _posted(_extended(self.url, suffix), text.encode())
        if wrong:
            self.warn(f"The address in {SETTING} was not reached: {wrong}.")
            self.warn = _silent


def of(source: Source, task: str, warn: Warn) -> Ping:
    """Return the watchman that the settings name; what is wrong with its file is only a warning."""
    try:
        pairs = private_lines.read(source.settings.scheduled.ping_file, SETTING)
    except SettingsInvalid as error:
        warn(f"{error.message} {error.advice}")
        return Ping("", warn)
    url = dict(pairs).get(task, "").strip()
    if url and not _usable(url):
        warn(f"The file of {SETTING} has no http or https address behind {task}=.")
        url = ""
    return Ping(url, warn)


def _silent(_: str) -> None:
    """Say nothing: it has been said."""


def _usable(url: str) -> bool:
    with suppress(ValueError):
        parts = urlsplit(url)
        return parts.scheme in {"http", "https"} and bool(parts.hostname)
    return False


def _extended(url: str, suffix: str) -> str:
    """Return ``url`` with a longer path: what stands behind a question mark stays there."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(path=parts.path.rstrip("/") + suffix))


def _posted(url: str, data: bytes) -> str:
    """Send ``data``; return what went wrong, after `LIMIT` seconds at the latest."""
    found = [f"no answer in {LIMIT:.0f} seconds"]

    def post() -> None:
        found.insert(0, http_client.post(url, data, timeout=TIMEOUT))

    sender = threading.Thread(target=post, daemon=True)
    sender.start()
    sender.join(LIMIT)
    return found[0]
