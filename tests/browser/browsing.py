"""What the tests in the browser share: the server that plays the host of the site."""

from __future__ import annotations

import gzip
import http.server
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

ROOT = Path(__file__).parents[2]
SOURCES = sorted(
    str(path.relative_to(ROOT / "docs").with_suffix(""))
    for path in (ROOT / "docs").rglob("*.md")
    if "_build" not in path.parts
)
MADE = ["genindex", "search", "step-index"]  # by Sphinx
PREFIX = "/"  # where a build that is told of no other place is at home
ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@dataclass(frozen=True)
class Site:
    """The built site: its folder, and the address of its server."""

    folder: Path
    host: str

    def url(self, name: str) -> str:
        """Return the address of a page."""
        return f"{self.host}{PREFIX}{name}.html"

    def weight(self, url: str) -> int:
        """Return how many bytes a file takes on its way, compressed."""
        name = urlsplit(url).path.removeprefix(PREFIX)
        return len(gzip.compress((self.folder / name).read_bytes(), 6))


class Handler(http.server.SimpleHTTPRequestHandler):
    """Serves the site as Read the Docs does: below a prefix, and 404.html for what is missing."""

    folder = Path()

    @classmethod
    def of(cls, folder: Path) -> type[Handler]:
        """Return the handler for one folder."""
        return type("SiteHandler", (cls,), {"folder": folder})

    def translate_path(self, path: str) -> str:
        """Return the file of an address."""
        name = urlsplit(path).path
        inside = name.startswith(PREFIX) and ".." not in name
        return str(self.folder / name.removeprefix(PREFIX)) if inside else "/nowhere"

    def send_error(self, code: int, *_: object) -> None:
        """Answer with the page for what is not there."""
        body = (self.folder / "404.html").read_bytes()
        self.send_response(code)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""
