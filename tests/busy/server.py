"""A user's server that starts at once; it ends on its own as Jupyter Server does."""

from __future__ import annotations

import os
import signal
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit


class Handler(BaseHTTPRequestHandler):
    """Answers every question with success."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def do_POST(self) -> None:
        """End, when asked to shut down; the last words are those of Jupyter Server."""
        self.do_GET()
        if self.path.endswith("/api/shutdown"):
            said = f"[I {datetime.now()} {os.getpid()}] Shutting down on /api/shutdown request."
            print(said, flush=True)
            os._exit(0)

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - its name upstream
        """Say nothing of questions."""


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    at = urlsplit(os.environ["JUPYTERHUB_SERVICE_URL"])
    ThreadingHTTPServer((str(at.hostname), int(at.port or 0)), Handler).serve_forever()
