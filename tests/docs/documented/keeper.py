"""What a run of the pages leaves behind: evidence, what was printed, and the pages' new lines."""

from __future__ import annotations

import functools
import json
import os
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Protocol

from documented import accept, match
from documented.pages import Block, Site
from documented.transcript import Done
from tljh_runbook.guide.sphinx_ext import evidence

PRINTED = "docs/_build/printed"  # what each page's commands printed last: for docs.mutants


class Ground(Protocol):
    """What a block is carried out on: the system, and the version of TLJH, or nothing."""

    @property
    def system(self) -> str: ...

    @property
    def tljh(self) -> str: ...


@dataclass
class Keeper:
    """Keeps evidence of the blocks of ``site``: each page's file is written after each block.

    Blocks that have evidence keep it, so that their times do not change with each run; ``again``
    takes it again. With ``accepts`` what is printed becomes what the page shows.
    """

    site: Site
    again: bool = False
    accepts: bool = False
    writes: bool = True
    changes: list[accept.Change] = field(default_factory=list)

    def accept(
        self, block: Block, done: list[Done], names: match.Names
    ) -> tuple[Block, list[Done]]:
        """Return the block as the page will show it, and what was done; `finish` writes it."""
        made = accept.changes(block, done, dict(names))
        if not made:
            return block, done
        self.changes += made
        new = accept.rewritten(block, done, made)
        new = replace(new, key=evidence.key(new.place, new.text))
        keys = self._pages[block.page]
        keys[keys.index(block.key)] = new.key
        return new, accept.again(new, done)

    def finish(self) -> None:
        """Write the pages that were changed."""
        accept.write(self.changes)

    def keep(self, block: Block, seconds: float, ground: Ground) -> None:
        """Keep the evidence of a block that did as its page shows."""
        path = self._file(block.page)
        records = evidence.read(path)
        if not self.writes or (block.key in records and not self.again):
            return
        records[block.key] = evidence.Record(
            command=block.text.partition("\n")[0].removeprefix("$ "),
            place=block.place,
            seconds=round(seconds, 1),
            date=f"{datetime.now(timezone.utc):%Y-%m-%d}",
            system=ground.system,
            tljh=ground.tljh,
        )
        evidence.write(path, records, self._pages[block.page])

    def unproven(self) -> list[str]:
        """Return the keys of the blocks that have no evidence, with their pages."""
        return [
            f"{page}: {key}"
            for page in self._pages
            for key in self._pages[page]
            if key not in evidence.read(self._file(page))
        ]

    def count(self) -> int:
        """Return how many blocks have evidence."""
        return sum(len(self._pages[page]) for page in self._pages) - len(self.unproven())

    def _file(self, page: str) -> Path:
        return evidence.file(Path(self.site.app.srcdir), page)

    @functools.cached_property
    def _pages(self) -> dict[str, list[str]]:
        """The keys of each page's blocks that are carried out, as a reader meets them."""
        found: dict[str, list[str]] = {}
        for block in self.site.blocks():
            found.setdefault(block.page, []).extend([block.key] if block.key else [])
        return found


def print_to(folder: Path, block: Block, done: list[Done]) -> None:
    """Keep what was printed in the folder, one file for each block, named by its key."""
    path = folder / f"{block.key}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps([asdict(each) for each in done], indent=1), encoding="utf-8")


def printed(folder: Path, block: Block) -> list[Done] | None:
    """Return what was kept so of a block, or None where it was not carried out as it is."""
    path = folder / f"{block.key}.json"
    if not path.exists():
        return None
    return [Done(**each) for each in json.loads(path.read_text(encoding="utf-8"))]


def in_ci() -> bool:
    """Whether nobody is here who could commit what is written."""
    return bool(os.environ.get("CI"))
