"""The built pages, and the console blocks that a reader finds on them."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import docutils_namespace, patch_docutils

LANGUAGE = "console"


@dataclass(frozen=True)
class Block:
    """One transcript: where it is written, what it says, and why it is not executed, if so.

    ``place`` is where it is carried out, one of `evidence.PLACES`; ``key`` the key of its evidence.
    """

    page: str
    file: Path
    line: int
    text: str
    reason: str = ""
    place: str = ""
    key: str = ""

    @property
    def on_server(self) -> bool:
        """Whether it is for the tests of booted servers to carry it out."""
        return self.place == "server"

    @property
    def name(self) -> str:
        """The page and the line, as a person looks for it."""
        return f"{self.page}:{self.line}"


@dataclass(frozen=True)
class Site:
    """All pages, built; ``warnings`` is what Sphinx had to say."""

    app: Sphinx
    warnings: str

    @property
    def pages(self) -> list[str]:
        """The names of all pages, in the order of their names."""
        return sorted(self.app.env.found_docs)

    def doctree(self, page: str) -> nodes.document:
        """Return the page as it was parsed and transformed, directives included."""
        return self.app.env.get_doctree(page)

    def front_matter(self, page: str, key: str) -> str:
        """Return what the page says of itself under ``key``."""
        return str(self.app.env.metadata[page].get(key, ""))

    def literals(self, page: str) -> Iterator[nodes.literal_block]:
        """Yield all literal blocks of a page."""
        yield from self.doctree(page).findall(nodes.literal_block)

    def blocks(self) -> list[Block]:
        """Return all console blocks, in the order in which a reader meets them on each page."""
        return [
            self._block(page, node)
            for page in self.pages
            for node in self.literals(page)
            if node.get("language") == LANGUAGE
        ]

    def _block(self, page: str, node: nodes.literal_block) -> Block:
        file = Path(self.app.env.doc2path(page))
        return Block(
            page,
            file,
            _first_line(node, file),
            node.astext(),
            _reason(node),
            node.get("place", ""),
            node.get("evidence", ""),
        )


def build(source: Path, config: Path, out: Path, *, fresh: bool = True, **overrides: Any) -> Site:
    """Build the pages of ``source``, all or what has changed; writes only below ``out``."""
    said = io.StringIO()
    with patch_docutils(str(config)), docutils_namespace(), warnings.catch_warnings():
        # What Sphinx and its extensions will change some day is not for us to mend.
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("ignore", PendingDeprecationWarning)
        app = Sphinx(
            str(source),
            str(config),
            str(out / "html"),
            str(out / "doctrees"),
            "dummy",
            confoverrides=overrides,
            status=None,
            warning=said,
            freshenv=fresh,
        )
        app.build()
    return Site(app, _colourless(said.getvalue()))


def _colourless(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def _reason(node: nodes.Node) -> str:
    while node.parent is not None:
        node = node.parent
        if isinstance(node, nodes.Element) and "reason" in node:
            return str(node["reason"])
    return ""


def _first_line(node: nodes.literal_block, file: Path) -> int:
    """Return where the text begins in the page: after the fence and its options, if it has any."""
    if "first_line" in node:
        return int(node["first_line"])
    first = node.astext().partition("\n")[0].strip()
    lines = file.read_text(encoding="utf-8").splitlines()
    start = node.line or 1
    found = (n for n in range(start, len(lines) + 1) if lines[n - 1].strip() == first)
    return next(found, start)
