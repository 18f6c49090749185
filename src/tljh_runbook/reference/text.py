"""A text that is printed, as a person recognises it: words, and holes that are filled."""

from __future__ import annotations

import re
import string
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import product

# Holes that are filled with words of their own: naming them would tell a reader nothing.
WORDS = {
    *("broken", "error", "found", "hint", "last", "left", "line", "log_line", "message", "named"),
    *("output", "reason", "said", "stderr", "stdout", "strerror", "told", "where", "why", "wrong"),
}


@dataclass(frozen=True)
class Hole:
    """A place that is filled when the text is printed; ``name`` tells with what."""

    name: str
    quoted: bool = False

    def __str__(self) -> str:
        name = self.name.strip("_")
        if name in WORDS or not name:
            return "…"
        shown = name.upper().replace("_", "-")
        return f"'{shown}'" if self.quoted else shown


@dataclass(frozen=True)
class Text:
    """What is printed, in parts."""

    parts: tuple[str | Hole, ...] = ()

    def __add__(self, other: Text) -> Text:
        parts = self.parts
        if (
            parts
            and other.parts
            and isinstance(parts[-1], Hole)
            and isinstance(other.parts[0], Hole)
        ):
            parts = parts[:-1]  # two holes side by side are one to a reader
        return Text(parts + other.parts)

    def __str__(self) -> str:
        return "".join(map(str, self.parts))

    @property
    def words(self) -> list[str]:
        """The words that are printed whatever the holes are filled with."""
        fixed = " ".join(each for each in self.parts if isinstance(each, str))
        return re.findall(r"[A-Za-z]{2,}", fixed)

    @property
    def holes(self) -> list[Hole]:
        """The places that are filled."""
        return [each for each in self.parts if isinstance(each, Hole)]

    @property
    def pattern(self) -> str:
        """A regular expression for what is printed."""
        return "".join(".*" if isinstance(each, Hole) else re.escape(each) for each in self.parts)

    @property
    def quoted(self) -> Text:
        """The text as ``repr`` has it."""
        if not self.holes:
            return Text((repr(str(self)),))
        holes = (
            replace(each, quoted=True) if isinstance(each, Hole) else each for each in self.parts
        )
        return Text(tuple(holes))


def joined(parts: Iterable[Sequence[Text]], between: str = "") -> list[Text]:
    """Return every text that some parts make, each of which may be one of several."""
    found = []
    for chosen in product(*parts):
        text = Text()
        for number, part in enumerate(chosen):
            text += Text((between,) if number and between else ()) + part
        found.append(text)
    return found


def filled(template: str) -> Text:
    """Return what ``str.format`` makes of a template."""
    parts: list[str | Hole] = []
    for words, name, *_ in string.Formatter().parse(template):
        parts += [words] if words else []
        parts += [Hole(name.partition(".")[0])] if name else []
    return Text(tuple(parts))


def distinct(found: Iterable[Text]) -> list[Text]:
    """Return each text once; of several that say nothing by themselves, the first."""
    telling: list[Text] = []
    mute: list[Text] = []
    for each in dict.fromkeys(found):
        (mute if each.holes and not each.words else telling).append(each)
    return telling + mute[:1]
