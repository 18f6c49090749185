"""A parser for advisories in OSV format, whose input may be malformed.

The format: https://ossf.github.io/osv-schema/. Only ranges of package versions are used; a range of
git commits says nothing about a version.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

ECOSYSTEM = "PyPI"
RANGES = {"ECOSYSTEM", "SEMVER"}
EVENTS = {"introduced", "fixed", "last_affected", "limit"}
MOST = 100_000  # maximum entries of any list
LONGEST = 300  # maximum characters of a name, a version or an identifier
# The order at one version: where one range ends and another starts, it is vulnerable.
ORDER = {"last_affected": 0, "fixed": 0, "limit": 0, "introduced": 1}


@dataclass(frozen=True)
class Event:
    """The start or end of a vulnerable range; ``kind`` says how ``version`` bounds it."""

    kind: str
    version: Version

    def __lt__(self, other: Event) -> bool:
        return (self.version, ORDER[self.kind]) < (other.version, ORDER[other.kind])


@dataclass(frozen=True)
class Affected:
    """The vulnerable versions of one package; ``name`` is normalized as in PEP 503."""

    name: str
    ranges: tuple[tuple[Event, ...], ...]
    versions: frozenset[Version]

    def contains(self, version: Version) -> bool:
        """Return whether ``version`` is vulnerable; its local part, after ``+``, is ignored."""
        public = Version(version.public)
        return public in self.versions or any(_inside(each, public) for each in self.ranges)

    @property
    def fixed(self) -> set[Version]:
        """The versions named as the first ones without the vulnerability."""
        return {each.version for events in self.ranges for each in events if each.kind == "fixed"}


@dataclass(frozen=True)
class Advisory:
    """One known vulnerability."""

    id: str
    aliases: tuple[str, ...]
    summary: str
    severity: str
    """`LOW`, `MODERATE`, `HIGH` or `CRITICAL`; empty if it is unknown."""
    published: str
    affected: tuple[Affected, ...]

    def of(self, name: str) -> list[Affected]:
        """Return the entries for a package."""
        return [each for each in self.affected if each.name == name]

    def to_json(self) -> dict[str, Any]:
        names = ("id", "aliases", "summary", "severity", "published")
        return {name: getattr(self, name) for name in names}


def parse(document: object) -> Advisory | None:
    """Return the advisory in an OSV document; None if it was withdrawn.

    Raises `ValueError` for anything that is not such a document.
    """
    known = _mapping(document)
    if known.get("withdrawn"):
        return None
    details = _mapping(known.get("database_specific", {}))
    return Advisory(
        id=_text(known.get("id")),
        aliases=tuple(_text(each) for each in _list(known.get("aliases", []))),
        summary=_text(known.get("summary", ""), longest=2000),
        severity=_text(details.get("severity", "")),
        published=_text(known.get("published", "")),
        affected=tuple(_affected(_list(known.get("affected", [])))),
    )


def _affected(entries: list[Any]) -> Iterator[Affected]:
    for each in map(_mapping, entries):
        package = _mapping(each.get("package", {}))
        if package.get("ecosystem") == ECOSYSTEM:
            ranges = [_mapping(found) for found in _list(each.get("ranges", []))]
            yield Affected(
                canonicalize_name(_text(package.get("name"))),
                tuple(_events(found) for found in ranges if found.get("type") in RANGES),
                frozenset(_version(found) for found in _list(each.get("versions", []))),
            )


def _events(found: dict[str, Any]) -> tuple[Event, ...]:
    """Return the events of a range in order. Raises `ValueError`."""
    events = []
    for each in map(_mapping, _list(found.get("events"))):
        (kind,) = EVENTS & set(each) or {""}
        if kind == "limit" and each[kind] == "*":
            continue
        events.append(Event(kind, _version(each.get(kind))))
    return tuple(sorted(events))


def _inside(events: tuple[Event, ...], version: Version) -> bool:
    """Evaluate the events up to ``version``, as the schema describes."""
    vulnerable = False
    for each in events:
        last = each.kind == "last_affected"
        if version > each.version or (version == each.version and not last):
            vulnerable = each.kind == "introduced"
    return vulnerable


def _version(value: object) -> Version:
    try:
        return Version(_text(value))
    except InvalidVersion as error:
        raise ValueError(str(error)) from error


def _text(value: object, *, longest: int = LONGEST) -> str:
    if not isinstance(value, str) or len(value) > longest:
        raise _malformed("a short text")
    return value


def _mapping(value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _malformed("an object")
    return value


def _list(value: object) -> list[Any]:
    if not isinstance(value, list) or len(value) > MOST:
        raise _malformed("a list")
    return value


def _malformed(what: str) -> ValueError:
    return ValueError(f"something that should be {what} is not")
