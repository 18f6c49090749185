"""HTTP requests to the hub on its own server, and notifications to external URLs.

The program that answers may be a user's. So every request to the hub has one deadline for the whole
response and a size limit, and no redirect is followed.
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

LIMIT = 1 << 20  # bytes read of a response
SHORT = 1 << 12  # bytes read if only the status matters; regular responses are shorter
ERRORS = (OSError, http.client.HTTPException, ValueError)  # what a request may raise
MOVED = {301, 302, 303, 307, 308}
ASTRAY = "/hub/services/"  # redirect target for unknown services


@dataclass(frozen=True)
class Answer:
    """An HTTP response; status 0 if there was none, with the reason in ``body``."""

    status: int
    body: str = ""
    location: str = ""

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300

    @property
    def there(self) -> bool:
        """Whether the server is available; a login redirect or a 403 counts as available.

        For a server that is down, the proxy answers 404 or 502, and so does the hub in its place.
        Requests for a service that the proxy does not know are redirected below the hub's own path
        (`ASTRAY`).
        """
        if self.status in MOVED and ASTRAY in _path(self.location):
            return False
        return 0 < self.status < 500 and self.status != 404


def get(
    url: str, *, timeout: float = 5.0, headers: Mapping[str, str] | None = None, limit: int = LIMIT
) -> Answer:
    """Send one GET request, as a `Line` does. ``timeout`` is in seconds, ``limit`` in bytes."""
    with closing(Line(url, timeout=timeout, headers=headers, limit=limit)) as line:
        return line.ask()


class Line:
    """A keep-alive HTTP connection for repeated requests to one URL.

    A proxy that is stopping does not wait for it: between two requests the connection is idle, and
    the proxy closes idle connections at once. It only waits for a connection that was just opened
    and has not sent a request yet.
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
        """Send one request, and wait for the whole response until the timeout.

        Never raises, whatever the server does. A redirect is returned, not followed: for a user
        server that is down, it leads to the hub, which is up.
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
        """Close the connection; the next request opens a new one."""
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
            # A connection that was closed while idle says nothing about the server now.
            return self._answer(self._open())

    def _open(self) -> http.client.HTTPConnection:
        self.close()
        self._connection = _connection(self._url, self._timeout)
        self._connection.response_class = self._response  # type: ignore[assignment]
        return self._connection

    def _response(
        self, sock: socket.socket, *arguments: Any, **named: Any
    ) -> http.client.HTTPResponse:
        """Return a response that can only be read until the request's deadline."""
        response = http.client.HTTPResponse(sock, *arguments, **named)
        response.fp = io.BufferedReader(_InTime(sock, response.fp, self._deadline))
        return response

    def _answer(self, connection: http.client.HTTPConnection) -> Answer:
        if connection.sock:
            connection.sock.settimeout(_left(self._deadline))
        connection.request("GET", _target(self._url), headers=self._headers)
        answer = connection.getresponse()
        body = answer.read(self._limit).decode(errors="replace")
        if not answer.isclosed():  # longer than the limit: the rest is not read
            connection.close()
        return Answer(answer.status, body, answer.getheader("Location", ""))


class _InTime(io.RawIOBase):
    """A reader with a fixed deadline, which a slow trickle of bytes does not extend."""

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
    """Return the seconds until a deadline. Raises `TimeoutError` if it has passed."""
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
    # Without a port, http.client would parse one from the host, and find it in ::1.
    if parts.scheme != "https":
        return http.client.HTTPConnection(host, port or 80, timeout=timeout)
    # The certificate is for the hub's public name, not for the loopback address used here.
    context = ssl._create_unverified_context()  # noqa: S323
    return http.client.HTTPSConnection(host, port or 443, timeout=timeout, context=context)


def post(url: str, data: bytes, *, timeout: float = 5.0) -> str:
    """Send ``data`` to an external URL in a POST request; return why it failed, or ''.

    The returned text never contains the URL, which may be a secret.
    """
    headers = {"User-Agent": "tljh-runbook", "Content-Type": "text/plain; charset=utf-8"}
    try:
        request = urllib.request.Request(url, data, headers)  # noqa: S310 - the scheme was checked
        with urllib.request.urlopen(request, timeout=timeout):  # noqa: S310
            return ""
    except urllib.error.HTTPError as error:
        with error:
            return f"HTTP {error.code}"
    except ERRORS as error:
        return reason(error)


def reason(error: Exception) -> str:
    """Return the reason for an error, without anything from the URL."""
    cause = getattr(error, "reason", error)
    if isinstance(cause, TimeoutError):
        return "no answer in time"
    if isinstance(cause, ssl.SSLCertVerificationError):
        return "its certificate cannot be verified"
    return getattr(cause, "strerror", None) or type(cause).__name__
