"""Plain HTTP: questions to the hub on its own machine, and news to an address elsewhere."""

from __future__ import annotations

import http.client
import ssl
import urllib.error
import urllib.request
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from urllib.parse import urlsplit

LIMIT = 1 << 20  # bytes read of an answer
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


def get(url: str, *, timeout: float = 5.0, headers: Mapping[str, str] | None = None) -> Answer:
    """Ask for ``url`` once, as a `Line` does. ``timeout`` is in seconds."""
    with closing(Line(url, timeout=timeout, headers=headers)) as line:
        return line.ask()


class Line:
    """One address that is asked again and again, over a connection that is kept open.

    A proxy that stops does not wait for it: between two questions it is idle, and those are closed
    at once. It waits for one that was opened a moment ago and has asked nothing yet.
    """

    def __init__(
        self, url: str, *, timeout: float = 5.0, headers: Mapping[str, str] | None = None
    ) -> None:
        self._url, self._timeout = url, timeout
        self._headers = {"User-Agent": "tljh-runbook", **(headers or {})}
        self._target = ""
        self._connection: http.client.HTTPConnection | None = None

    def ask(self) -> Answer:
        """Ask once; never raises for what a server can do.

        The proxy's way from HTTP to HTTPS is gone along; any other redirect is the answer: that of
        a user server that is away leads to the hub, which is there.
        """
        try:
            answer = self._asked()
            if self._is_secured(answer):
                self._open(answer.location)
                answer = self._asked()
        except ERRORS as error:
            self.close()
            return Answer(0, str(error) or type(error).__name__)
        return answer

    def close(self) -> None:
        """Close the connection; the next question opens another, to the address as it was given."""
        if self._connection:
            self._connection.close()
        self._connection = None

    def _asked(self) -> Answer:
        connection = self._connection or self._open(self._url)
        kept = connection.sock is not None
        try:
            return self._answer(connection)
        except (ConnectionError, ssl.SSLError):
            if not kept:
                raise
            # What was closed while nothing was asked tells nothing of how the server is now.
            self.close()
            return self._answer(self._open(self._url))

    def _open(self, url: str) -> http.client.HTTPConnection:
        """Prepare a connection; it is always to the host that was given, which is this machine."""
        self.close()
        parts = urlsplit(url)
        host = urlsplit(self._url).hostname or ""
        self._target = _target(url)
        self._connection = _connection(parts.scheme, host, parts.port, self._timeout)
        return self._connection

    def _answer(self, connection: http.client.HTTPConnection) -> Answer:
        connection.request("GET", self._target, headers=self._headers)
        answer = connection.getresponse()
        body = answer.read(LIMIT).decode(errors="replace")
        if not answer.isclosed():  # longer than the limit: what is left is not read
            connection.close()
        return Answer(answer.status, body, answer.getheader("Location", ""))

    def _is_secured(self, answer: Answer) -> bool:
        """Say whether an answer only says that the same is there over HTTPS."""
        return (
            answer.status in MOVED
            and self._url.startswith("http:")
            and answer.location.startswith("https:")
            and _target(answer.location) == _target(self._url)
        )


def _path(url: str) -> str:
    try:
        return urlsplit(url).path
    except ValueError:
        return ""


def _target(url: str) -> str:
    parts = urlsplit(url)
    return parts.path + (f"?{parts.query}" if parts.query else "")


def _connection(
    scheme: str, host: str, port: int | None, timeout: float
) -> http.client.HTTPConnection:
    # Without a port the library would look for one in the host, and find it in ::1.
    if scheme != "https":
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
