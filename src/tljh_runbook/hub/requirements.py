"""A pinned pip requirement, as the settings name a plugin."""

from __future__ import annotations

import re
from dataclasses import dataclass

_BY_COMMIT = re.compile(
    r"(?P<name>[\w.-]+)\s*@\s*git\+\S+@(?P<commit>[0-9a-f]{40})(?:#[\w=&./%-]+)?"
)
_BY_VERSION = re.compile(r"(?P<name>[\w.-]+)\s*==\s*(?P<version>[\w.!+-]+)")


def canonical(name: str) -> str:
    """Return a distribution's name as PEP 503 compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


@dataclass(frozen=True)
class Requirement:
    """A distribution pinned by version or by git commit."""

    text: str
    name: str
    version: str | None
    commit: str | None

    @classmethod
    def parse(cls, text: str) -> Requirement:
        """Return the requirement that ``text`` pins. Raises `ValueError` where it pins nothing."""
        by = _BY_COMMIT.fullmatch(text.strip()) or _BY_VERSION.fullmatch(text.strip())
        if not by:
            raise ValueError(
                f"{text!r} is not pinned: write NAME==VERSION or NAME @ git+URL@COMMIT, with a "
                "commit of 40 characters."
            )
        if "@" in text.partition("://")[2].rpartition("@")[0]:
            raise ValueError(
                f"{canonical(by['name'])} is named with a user or a password in its address, which "
                "every user of the machine could read. Keep them in git's own credentials."
            )
        found = by.groupdict()
        return cls(
            text.strip(), canonical(found["name"]), found.get("version"), found.get("commit")
        )

    @property
    def wanted(self) -> str:
        """The version or the commit."""
        return self.version or self.commit or ""
