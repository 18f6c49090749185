"""A responder on port 80 for TLJH's installer, for hubs that listen on another port.

The installer's last step waits for any answer from 127.0.0.1 on port 80, regardless of `http.port`
(`ensure_jupyterhub_running`, in every release), and fails without one. This module gives that
answer while the installer runs; whether the hub itself responds is verified afterwards.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingTCPServer

from tljh_runbook.hub.context import Source
from tljh_runbook.hub.core import config
from tljh_runbook.hub.core.address import Socket
from tljh_runbook.hub.health import endpoint
from tljh_runbook.hub.system import services

AWAITED = Socket("127.0.0.1", 80)


@contextmanager
def answered(source: Source, *, staged: bool) -> Iterator[None]:
    """Answer on port 80 within the context, unless the hub's proxy does."""
    server = _server() if _missing(source, staged=staged) else None
    if server is None:
        yield
        return
    with server:
        thread = threading.Thread(target=server.serve_forever, args=(0.1,), daemon=True)
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()


def _missing(source: Source, *, staged: bool) -> bool:
    """Return whether no part of the hub listens on port 80 or will need it meanwhile.

    Without a stage, the installer restarts the proxy with the configured port.
    """
    if any(each.covers(AWAITED) for each in endpoint.listening(source.services)):
        return False
    runs = source.services.pid(services.PROXY) is not None
    return (staged and runs) or not config.entry(source.hub, "http").covers(AWAITED)


def _server() -> _Server | None:
    try:
        return _Server((AWAITED.host, AWAITED.port), _Handler)
    except OSError:  # another program has the port and answers, or we are not root
        return None


class _Server(ThreadingTCPServer):
    """A server for one address; `http.server` would first look up the host name in DNS."""

    allow_reuse_address = True
    daemon_threads = True


class _Handler(BaseHTTPRequestHandler):
    """A handler that answers every GET request with 503 and no body."""

    timeout = 5.0  # seconds to wait for a client's request

    def do_GET(self) -> None:
        self.send_response(503)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - its name there
        """Print nothing, because the output belongs to the run."""
