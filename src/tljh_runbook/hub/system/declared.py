"""What a service will be started with, as its manager tells it."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Declared:
    """Working directory and environment of a service."""

    directory: Path | None = None
    environment: dict[str, str] = field(default_factory=dict)


def of_systemd(shown: str) -> Declared:
    """Return what ``systemctl show`` tells; later files come before what the unit says itself."""
    directory: Path | None = None
    stated: dict[str, str] = {}
    found: dict[str, str] = {}
    for line in shown.splitlines():
        name, _, value = line.partition("=")
        if name == "WorkingDirectory" and value.startswith("/"):
            directory = Path(value)
        elif name == "Environment":
            stated = pairs(_words(value))
        elif name == "EnvironmentFiles" and value:
            with suppress(OSError):  # it may be absent, as systemd allows
                text = Path(value.partition(" (")[0]).read_text(encoding="utf-8")
                found |= _of_file(text)
    # systemd lets a file win over the unit's own line.
    return Declared(directory, {**stated, **found})


def _of_file(text: str) -> dict[str, str]:
    """Return what a file of lines ``NAME=VALUE`` sets, a value with or without quotation marks."""
    lines = (line.strip() for line in text.splitlines())
    found = (line.split("=", 1) for line in lines if "=" in line and line[0] not in "#;")
    return {name.strip(): " ".join(_words(value)) for name, value in found}


def _words(text: str) -> list[str]:
    with suppress(ValueError):  # an open quotation mark
        return shlex.split(text, comments=False)
    return text.split()


def pairs(words: Iterable[str]) -> dict[str, str]:
    """Return what words such as ``NAME=VALUE`` set."""
    return dict(word.split("=", 1) for word in words if "=" in word)


def of_supervisor(section: Mapping[str, str]) -> Declared:
    """Return what a program's section of supervisor's settings tells."""
    directory = section.get("directory")
    # A % is written twice there, and commas stand between the pairs.
    words = shlex.shlex(section.get("environment", "").replace("%%", "%"), posix=True)
    words.whitespace, words.whitespace_split, words.commenters = ", \t\n", True, ""
    return Declared(Path(directory) if directory else None, pairs(words))
