"""The working directory and environment that a service will be started with."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Declared:
    """The working directory and environment of a service."""

    directory: Path | None = None
    environment: dict[str, str] = field(default_factory=dict)


def of_systemd(shown: str) -> Declared:
    """Parse the output of ``systemctl show``.

    Environment files override the unit's own variables, and later files override earlier ones.
    """
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
            with suppress(OSError):  # systemd allows the file to be absent
                text = Path(value.partition(" (")[0]).read_text(encoding="utf-8")
                found |= _of_file(text)
    # In systemd, EnvironmentFile= overrides Environment=.
    return Declared(directory, {**stated, **found})


def _of_file(text: str) -> dict[str, str]:
    """Return the variables in a file of ``NAME=VALUE`` lines; values may be quoted."""
    lines = (line.strip() for line in text.splitlines())
    found = (line.split("=", 1) for line in lines if "=" in line and line[0] not in "#;")
    return {name.strip(): " ".join(_words(value)) for name, value in found}


def _words(text: str) -> list[str]:
    with suppress(ValueError):  # an unclosed quote
        return shlex.split(text, comments=False)
    return text.split()


def pairs(words: Iterable[str]) -> dict[str, str]:
    """Return the variables that words such as ``NAME=VALUE`` set."""
    return dict(word.split("=", 1) for word in words if "=" in word)


def of_supervisor(section: Mapping[str, str]) -> Declared:
    """Parse a program's section of supervisor's configuration."""
    directory = section.get("directory")
    # supervisor escapes % as %%, and separates the pairs with commas.
    words = shlex.shlex(section.get("environment", "").replace("%%", "%"), posix=True)
    words.whitespace, words.whitespace_split, words.commenters = ", \t\n", True, ""
    return Declared(Path(directory) if directory else None, pairs(words))
