"""Plain HTTP: questions to the hub on its own machine, and news to an address elsewhere."""

from __future__ import annotations

import http.client
import ssl
import urllib.error
import urllib.request
from contextlib import closing
from dataclasses import dataclass
from urllib.parse import urlsplit

LIMIT = 1 << 20  # bytes read of an answer


@dataclass(frozen=True)
class Answer:
    """What came back; status 0 when nothing did, with the reason in ``body``."""

    status: int
    body: str = ""

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300


def get(url: str, *, timeout: float = 5.0) -> Answer:
    """Ask for ``url`` once, following nothing; never raises for what a server can do.

    ``timeout`` is in seconds.
    """
    try:
        parts = urlsplit(url)
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        with closing(
            _connection(parts.scheme, parts.hostname or "", parts.port, timeout)
        ) as connection:
            connection.request("GET", target, headers={"User-Agent": "tljh-runbook"})
            answer = connection.getresponse()
            body = answer.read(LIMIT).decode(errors="replace")
            return Answer(answer.status, body)
    except (OSError, http.client.HTTPException, ValueError) as error:
        return Answer(0, str(error) or type(error).__name__)


def _connection(
    scheme: str, host: str, port: int | None, timeout: float
) -> http.client.HTTPConnection:
    if scheme != "https":
        return http.client.HTTPConnection(host, port, timeout=timeout)
    # The certificate names the hub's public address, not the loopback one asked here.
    context = ssl._create_unverified_context()  # noqa: S323
    return http.client.HTTPSConnection(host, port, timeout=timeout, context=context)


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
    except (OSError, http.client.HTTPException, ValueError) as error:
        return _reason(error)


def _reason(error: Exception) -> str:
    """Return why, in words that hold nothing of what was asked for."""
    cause = getattr(error, "reason", error)
    if isinstance(cause, TimeoutError):
        return "no answer in time"
    if isinstance(cause, ssl.SSLCertVerificationError):
        return "its certificate cannot be verified"
    return getattr(cause, "strerror", None) or type(cause).__name__
