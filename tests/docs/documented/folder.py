"""Built pages as a browser reads them: what can be linked to, and what they link to."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit

NAMED = ("id", "name")
LOADED = {"script": "src", "img": "src", "link": "href", "iframe": "src", "source": "src"}


class Page(HTMLParser):
    """One page: the anchors on it, the addresses that it links to, and those that it loads."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: set[str] = set()
        self.loads: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what an element can be found by, and where it leads."""
        given = {name: value for name, value in attrs if value}
        self.anchors |= {given[name] for name in NAMED if name in given}
        if tag == "a" and "href" in given:
            self.links.add(given["href"])
        elif tag in LOADED and LOADED[tag] in given and given.get("rel") != "canonical":
            self.loads.add(given[LOADED[tag]])


@dataclass(frozen=True)
class Folder:
    """A built site in a folder."""

    path: Path
    _pages: dict[str, Page] = field(default_factory=dict, repr=False)

    @cached_property
    def names(self) -> list[str]:
        """The pages, by their addresses from the top of the site."""
        found = (each for each in self.path.rglob("*.html") if "_static" not in each.parts)
        return sorted(str(each.relative_to(self.path)) for each in found)

    def page(self, name: str) -> Page:
        """Return a page."""
        if name not in self._pages:
            self._pages[name] = Page((self.path / name).read_text(encoding="utf-8"))
        return self._pages[name]

    def has(self, address: str) -> bool:
        """Tell whether an address from the top of the site leads to a file, and to its anchor."""
        parts = urlsplit(address)
        name = unquote(parts.path)
        if not (self.path / name).is_file():
            return False
        return not parts.fragment or unquote(parts.fragment) in self.page(name).anchors

    def dead_links(self) -> Iterator[str]:
        """Yield every link within the site that leads nowhere."""
        # The page for a wrong address is no place in a site: its links begin at the site's top.
        for name in sorted({*self.names} - {"404.html"}):
            page = self.page(name)
            for link in sorted(page.links | page.loads):
                if not urlsplit(link).scheme and not self.has(urljoin(name, link)):
                    yield f"{name}: {link}"

    def loads_from_elsewhere(self) -> Iterator[str]:
        """Yield everything that a page would fetch from the network."""
        for name in self.names:
            yield from (each for each in self.page(name).loads if urlsplit(each).netloc)
