"""Plain HTTP: questions to the hub on its own machine, and news to an address elsewhere.

Whoever answers may be a user's program. So each question has one deadline for the whole answer and
a limit of its size, and no redirect is followed.
"""

from __future__ import annotations

import http.client
import io
import socket
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

LIMIT = 1 << 20  # bytes read of an answer
SHORT = 1 << 12  # bytes read where only the status is wanted: an honest answer ends before
ERRORS = (OSError, http.client.HTTPException, ValueError)  # what asking a server may raise
MOVED = {301, 302, 303, 307, 308}
ASTRAY = "/hub/services/"  # where no service is


@dataclass(frozen=True)
class Answer:
    """What came back; status 0 when nothing did, with the reason in ``body``."""

    status: int
    body: str = ""
    location: str = ""

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300

    @property
    def there(self) -> bool:
        """Whether somebody has answered, be it with a refusal or a way to the login.

        Of what is away the proxy says 404 or 502, and so does the hub in its place; of a service
        that the proxy does not know, the hub says that it is below the hub's own path.
        """
        if self.status in MOVED and ASTRAY in _path(self.location):
            return False
        return 0 < self.status < 500 and self.status != 404


def get(
    url: str, *, timeout: float = 5.0, headers: Mapping[str, str] | None = None, limit: int = LIMIT
) -> Answer:
    """Ask for ``url`` once, as a `Line` does. ``timeout`` is in seconds, ``limit`` in bytes."""
    with closing(Line(url, timeout=timeout, headers=headers, limit=limit)) as line:
        return line.ask()


class Line:
    """One address that is asked again and again, over a connection that is kept open.

    A proxy that stops does not wait for it: between two questions it is idle, and those are closed
    at once. It waits for one that was opened a moment ago and has asked nothing yet.
    """

    def __init__(
        self,
        url: str,
        *,
        timeout: float = 5.0,
        headers: Mapping[str, str] | None = None,
        limit: int = LIMIT,
    ) -> None:
        self._url, self._timeout, self._limit = url, timeout, limit
        self._headers = {"User-Agent": "tljh-runbook", **(headers or {})}
        self._deadline = 0.0
        self._connection: http.client.HTTPConnection | None = None

    def ask(self) -> Answer:
        """Ask once, and wait for the whole answer until the timeout.

        Never raises for what a server can do. A redirect is the answer: that of a user server that
        is away leads to the hub, which is there.
        """
        self._deadline = time.monotonic() + self._timeout
        try:
            return self._asked()
        except TimeoutError:
            self.close()
            return Answer(0, f"no answer in {self._timeout:.0f} seconds")
        except ERRORS as error:
            self.close()
            return Answer(0, str(error) or type(error).__name__)

    def close(self) -> None:
        """Close the connection; the next question opens another."""
        if self._connection:
            self._connection.close()
        self._connection = None

    def _asked(self) -> Answer:
        connection = self._connection or self._open()
        kept = connection.sock is not None
        try:
            return self._answer(connection)
        except (ConnectionError, ssl.SSLError):
            if not kept:
                raise
            # What was closed while nothing was asked tells nothing of how the server is now.
            return self._answer(self._open())

    def _open(self) -> http.client.HTTPConnection:
        self.close()
        self._connection = _connection(self._url, self._timeout)
        self._connection.response_class = self._response  # type: ignore[assignment]
        return self._connection

    def _response(
        self, sock: socket.socket, *arguments: Any, **named: Any
    ) -> http.client.HTTPResponse:
        """Return a response that is read until the deadline of the question, and not longer."""
        response = http.client.HTTPResponse(sock, *arguments, **named)
        response.fp = io.BufferedReader(_InTime(sock, response.fp, self._deadline))
        return response

    def _answer(self, connection: http.client.HTTPConnection) -> Answer:
        if connection.sock:
            connection.sock.settimeout(_left(self._deadline))
        connection.request("GET", _target(self._url), headers=self._headers)
        answer = connection.getresponse()
        body = answer.read(self._limit).decode(errors="replace")
        if not answer.isclosed():  # longer than the limit: what is left is not read
            connection.close()
        return Answer(answer.status, body, answer.getheader("Location", ""))


class _InTime(io.RawIOBase):
    """What a socket receives, until a deadline: a byte now and then does not put it off."""

    def __init__(self, sock: socket.socket, received: io.BufferedIOBase, deadline: float) -> None:
        super().__init__()
        self._socket, self._received, self._deadline = sock, received, deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._socket.settimeout(_left(self._deadline))
        return self._received.readinto1(buffer)

    def close(self) -> None:
        self._received.close()
        super().close()


def _left(deadline: float) -> float:
    """Return the seconds until a deadline. Raises `TimeoutError` when it has passed."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("timed out")
    return left


def _path(url: str) -> str:
    try:
        return urlsplit(url).path
    except ValueError:
        return ""


def _target(url: str) -> str:
    parts = urlsplit(url)
    return parts.path + (f"?{parts.query}" if parts.query else "")


def _connection(url: str, timeout: float) -> http.client.HTTPConnection:
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port
    # Without a port the library would look for one in the host, and find it in ::1.
    if parts.scheme != "https":
        return http.client.HTTPConnection(host, port or 80, timeout=timeout)
    # The certificate names the hub's public address, not the loopback one asked here.
    context = ssl._create_unverified_context()  # noqa: S323
    return http.client.HTTPSConnection(host, port or 443, timeout=timeout, context=context)


def post(url: str, data: bytes, *, timeout: float = 5.0) -> str:
    """Send ``data`` to an address elsewhere; return why that failed, '' when it did not.

    What is returned never repeats the address, which may be a secret.
    """
    headers = {"User-Agent": "tljh-runbook", "Content-Type": "text/plain; charset=utf-8"}
    try:
        request = urllib.request.Request(url, data, headers)  # noqa: S310 - http, as was looked
        with urllib.request.urlopen(request, timeout=timeout):  # noqa: S310
            return ""
    except urllib.error.HTTPError as error:
        with error:
            return f"HTTP {error.code}"
    except ERRORS as error:
        return reason(error)


def reason(error: Exception) -> str:
    """Return why, in words that hold nothing of what was asked for."""
    cause = getattr(error, "reason", error)
    if isinstance(cause, TimeoutError):
        return "no answer in time"
    if isinstance(cause, ssl.SSLCertVerificationError):
        return "its certificate cannot be verified"
    return getattr(cause, "strerror", None) or type(cause).__name__
