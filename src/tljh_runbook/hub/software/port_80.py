"""An answer on port 80 for TLJH's installer, on the hubs that listen elsewhere.

Its last step waits for any answer of 127.0.0.1 on port 80, whatever `http.port` says
(`ensure_jupyterhub_running`, in every release), and fails without one. While it runs, we give that
answer; whether the hub itself answers is verified afterwards.
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
    """Answer on port 80 as long as the context lasts, where the hub's proxy does not."""
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
    """Say whether nothing of the hub answers there, and nothing of it needs the port meanwhile.

    In place the installer restarts the proxy, with the configured port.
    """
    if any(each.covers(AWAITED) for each in endpoint.listening(source.services)):
        return False
    runs = source.services.pid(services.PROXY) is not None
    return (staged and runs) or not config.entry(source.hub, "http").covers(AWAITED)


def _server() -> _Server | None:
    try:
        return _Server((AWAITED.host, AWAITED.port), _Handler)
    except OSError:  # another program has the port, and answers; or only root may have it
        return None


class _Server(ThreadingTCPServer):
    """Serves one address; `http.server` would first ask the name service for its name."""

    allow_reuse_address = True
    daemon_threads = True


class _Handler(BaseHTTPRequestHandler):
    """Says to everybody that something is there, and nothing else."""

    timeout = 5.0  # seconds for a client to ask its question

    def do_GET(self) -> None:
        self.send_response(503)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - its name there
        """Print nothing: the output belongs to the run."""
