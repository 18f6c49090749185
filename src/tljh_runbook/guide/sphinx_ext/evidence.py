"""The records of when and where each example last ran: one file per page, in ``docs/evidence``.

A record is keyed by the text of a block and the kind of system that it runs on. If either changes,
there is no record until the block is executed again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

FOLDER = "evidence"  # in the directory of the pages

PLACES = {
    "sandbox": "in a sandbox, with fakes of TLJH's installer and Plasma",
    "server": "on a booted server, with fakes of TLJH's installer and Plasma",
    "shell": "on a machine without a hub",
}


@dataclass(frozen=True)
class Record:
    """One run of a block: its duration in seconds, its date (UTC) and the system."""

    command: str
    """The first command, for readers of the file."""
    place: str
    seconds: float
    date: str
    system: str
    tljh: str = ""

    @property
    def text(self) -> str:
        """The record as a sentence, as shown on the page."""
        hub = f"TLJH {self.tljh}, " if self.tljh else ""
        where = PLACES[self.place]
        return f"Ran in {_duration(self.seconds)} {where}: {hub}{self.system}, {self.date}."


def _duration(seconds: float) -> str:
    return f"{seconds / 60:.0f} minutes" if seconds >= 90 else f"{seconds:.1f} s"


def key(place: str, text: str) -> str:
    """Return the key of a block that runs in ``place``: 16 hexadecimal digits."""
    return hashlib.sha256(f"{place}\n{text.rstrip()}".encode()).hexdigest()[:16]


def file(source: Path, page: str) -> Path:
    """Return the file with the records of a page; ``source`` is the directory of the pages."""
    return source / FOLDER / f"{page}.json"


def read(path: Path) -> dict[str, Record]:
    """Return the records of a page, by the keys of its blocks; empty without a file."""
    if not path.exists():
        return {}
    found = json.loads(path.read_text(encoding="utf-8"))
    return {block: Record(**fields) for block, fields in found.items()}


def write(path: Path, records: Mapping[str, Record], order: Iterable[str]) -> None:
    """Write the records named in ``order``, one per line to make diffs readable."""
    lines = [
        f"{json.dumps(block)}: {json.dumps(_fields(records[block]), ensure_ascii=False)}"
        for block in dict.fromkeys(order)
        if block in records
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.new")
    new.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
    new.replace(path)


def _fields(record: Record) -> dict[str, object]:
    return {name: value for name, value in asdict(record).items() if value != ""}
