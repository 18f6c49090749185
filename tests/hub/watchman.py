"""A watchman as healthchecks.io is one: a real web server that remembers what it was told."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import hub_folder

from tljh_runbook.hub.core.layout import Hub

SECRET = "5ecret-address-of-the-watchman"  # noqa: S105 - of a server that lives for one test


@dataclass
class Watchman:
    """What was told: path behind the secret, and body. It answers once ``go`` is set."""

    port: int = 0
    told: list[tuple[str, str]] = field(default_factory=list)
    go: threading.Event = field(default_factory=threading.Event)
    status: int = 200

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/{SECRET}"

    @property
    def paths(self) -> list[str]:
        return [path for path, _ in self.told]

    def watch(self, hub: Hub, mode: int = 0o600) -> None:
        """Be the one that the hub's settings name."""
        text = f"# a comment\nbackup={self.url}\nverify={self.url}?of=verify\n"
        hub_folder.keep(hub.root / "etc" / "runbook.ping", text, mode)
        hub_folder.keep(
            hub.settings_file,
            hub_folder.SETTINGS + "scheduled: {ping_file: /etc/runbook.ping}\n",
            0o644,
        )


@contextmanager
def watching() -> Iterator[Watchman]:
    """Run a watchman that answers at once."""
    made = Watchman()
    made.go.set()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            made.told.append((self.path.removeprefix(f"/{SECRET}"), body))
            made.go.wait()
            self.send_response(made.status)
            self.end_headers()

        def log_message(self, *arguments: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        made.port = int(server.server_address[1])
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield made
        finally:
            made.go.set()
            server.shutdown()
            thread.join()
