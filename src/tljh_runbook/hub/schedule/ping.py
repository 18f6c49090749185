"""Pings to an external monitor about scheduled runs, in the format of healthchecks.io.

Anyone who knows the URL can fake a success, so it never appears in a message or in argv.
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

TIMEOUT = 5.0  # seconds for each step of a request
LIMIT = 10.0  # seconds for the whole request: slow DNS or a slow answer must not delay a run
LONGEST = 1000  # maximum length of a message in characters
SETTING = "scheduled.ping_file"
Warn = Callable[[str], None]


@dataclass
class Ping:
    """The external monitor of one task; without a ``url``, no ping is sent."""

    url: str = field(repr=False)
    warn: Warn

    def start(self) -> None:
        """Report that the run starts."""
        self._send("/start", "")

    def end(self, code: int, text: str) -> None:
        """Report how the run ended, with a short ``text`` for the administrator."""
        self._send("/fail" if code else "", text[:LONGEST])

    def _send(self, suffix: str, text: str) -> None:
        if not self.url:
            return
        wrong = _posted(_extended(self.url, suffix), text.encode())
        if wrong:
            self.warn(f"The address in {SETTING} was not reached: {wrong}.")
            self.warn = _silent


def of(source: Source, task: str, warn: Warn) -> Ping:
    """Return the monitor that the settings name; problems with its file are only warnings."""
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
    """Ignore further warnings after the first one."""


def _usable(url: str) -> bool:
    with suppress(ValueError):
        parts = urlsplit(url)
        return parts.scheme in {"http", "https"} and bool(parts.hostname)
    return False


def _extended(url: str, suffix: str) -> str:
    """Return ``url`` with ``suffix`` added to its path; the query string is unchanged."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(path=parts.path.rstrip("/") + suffix))


def _posted(url: str, data: bytes) -> str:
    """Send ``data`` and return the error, if any, after `LIMIT` seconds at most."""
    found = [f"no answer in {LIMIT:.0f} seconds"]

    def post() -> None:
        found.insert(0, http_client.post(url, data, timeout=TIMEOUT))

    sender = threading.Thread(target=post, daemon=True)
    sender.start()
    sender.join(LIMIT)
    return found[0]
