"""Fetching a newer list of advisories, which is not signed: only TLS protects it.

So a forged list can hide a vulnerability or claim one, but it cannot introduce a package: an
upgrade only installs releases from the package index, of packages that the hub already has.
"""

from __future__ import annotations

import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tljh_runbook.errors import AdvisoriesUnusable
from tljh_runbook.hub.core import files
from tljh_runbook.hub.core.layout import Hub
from tljh_runbook.hub.core.settings import fetchable
from tljh_runbook.hub.system import http_client
from tljh_runbook.hub.versions.security import advisories
from tljh_runbook.hub.versions.security.advisories import Advisories

TIMEOUT = 20.0  # seconds for each step of the download
DEADLINE = 60.0  # seconds for the whole download


def refresh(hub: Hub, place: str, *, deadline: float = DEADLINE) -> Advisories:
    """Store the list at ``place``, a path or URL, if it is newer; return the newest.

    Raises `AdvisoriesUnusable`, and what `files.disk_errors` raises; then the current list stays in
    use.
    """
    data = _read(Path(place)) if place.startswith("/") else _downloaded(place, deadline)
    fetched, now = advisories.parse(data), advisories.load(hub)
    if fetched.as_of <= now.as_of:
        return now
    with files.disk_errors(hub.work, "The previous list stays in use."):
        files.make_private(hub.work)
        files.replace(advisories.file(hub), data)
    return fetched


def _read(path: Path) -> bytes:
    try:
        return files.read(path)
    except OSError as error:
        raise advisories.unusable(f"{path}: {error.strerror}") from error


def _downloaded(url: str, deadline: float) -> bytes:
    """Return the content of ``url``, within ``deadline`` seconds. Raises `AdvisoriesUnusable`."""
    found: list[bytes | AdvisoriesUnusable] = []
    fetcher = threading.Thread(target=_into, args=(found.append, url), daemon=True)
    fetcher.start()
    fetcher.join(deadline)
    if not found:
        raise _unreachable(f"no answer in {deadline:.0f} seconds")
    if isinstance(found[0], AdvisoriesUnusable):
        raise found[0]
    return found[0]


def _into(put: Callable[[bytes | AdvisoriesUnusable], None], url: str) -> None:
    try:
        put(_fetched(url))
    except AdvisoriesUnusable as error:
        put(error)


def _fetched(url: str) -> bytes:
    try:
        request = urllib.request.Request(url, headers={"User-Agent": "tljh-runbook"})  # noqa: S310
        with _opener().open(request, timeout=TIMEOUT) as answer:
            data: bytes = answer.read(advisories.LIMIT + 1)
            return data
    except urllib.error.HTTPError as error:
        with error:
            raise _unreachable(f"the server answers {error.code}") from error
    except http_client.ERRORS as error:
        raise _unreachable(http_client.reason(error)) from error


class _SameProtection(urllib.request.HTTPRedirectHandler):
    """A redirect handler that only follows redirects to servers that are authenticated too."""

    def redirect_request(self, *args: Any, **named: Any) -> urllib.request.Request | None:
        """Return the next request, or None to refuse it."""
        allowed = fetchable(args[-1])
        return super().redirect_request(*args, **named) if allowed else None


def _opener() -> urllib.request.OpenerDirector:
    return urllib.request.build_opener(_SameProtection)


def _unreachable(why: str) -> AdvisoriesUnusable:
    return advisories.unusable(f"it cannot be fetched, {why}")
