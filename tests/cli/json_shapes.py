"""The shapes on the page of what --json prints, and whether a value has one.

A shape is the section of its name. It is either an object, whose keys are the section's terms, or
another type, which stands behind "Prints". Types: string, integer, number, boolean, null, object
(any), empty (an object without keys), list of T, map of T, T or T, (T), and the name of a shape.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "json.md"

SECTION = re.compile(
    r"^### `?(?P<name>[^`\n]+)`?\n(?P<text>.*?)(?=^##|\Z)", re.MULTILINE | re.DOTALL
)
KEY = re.compile(r"^`(?P<key>\w+)`, (?P<type>.+?)(?P<optional>, optional)?\n: \S", re.MULTILINE)
TERM = re.compile(r"^`\w+`", re.MULTILINE)
PRINTS = re.compile(r"Prints (?P<all>all of )?(?P<type>[^.,]+)[.,]")
LINK = re.compile(r"\[([^\]]+)\]\([^)]*\)")
SIMPLE: dict[str, type | tuple[type, ...]] = {
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "null": type(None),
    "object": dict,
}


@dataclass(frozen=True)
class Shape:
    """What the page says of one name: keys with their types, or a type that it stands for."""

    keys: dict[str, str] = field(default_factory=dict)
    optional: frozenset[str] = frozenset()
    prints: str = ""


Shapes = dict[str, Shape]


def read(text: str) -> Shapes:
    """Return all shapes on a page by their names."""
    plain = LINK.sub(r"\1", text)
    found: Shapes = {}
    for section in SECTION.finditer(plain):
        assert section["name"] not in found, f"{section['name']} is described twice"
        found[section["name"]] = _shape(section["text"])
    return {name: _extended(shape, found) for name, shape in found.items()}


def _shape(text: str) -> Shape:
    entries = list(KEY.finditer(text))
    assert len(entries) == len(TERM.findall(text)), f"not `key`, type and meaning: {text}"
    prints = PRINTS.search(text)
    assert bool(entries) != bool(prints and not prints["all"]), f"keys or Prints: {text}"
    return Shape(
        {each["key"]: each["type"] for each in entries},
        frozenset(each["key"] for each in entries if each["optional"]),
        prints["type"] if prints else "",
    )


def _extended(shape: Shape, known: Shapes) -> Shape:
    """Return a shape with the keys of the one that it has all of."""
    if not (shape.keys and shape.prints):
        return shape
    base = known[shape.prints]
    return Shape(base.keys | shape.keys, base.optional | shape.optional)


def wrong(value: Any, kind: str, shapes: Shapes, place: str = "it") -> list[str]:
    """Return what of ``value`` is not as the page says."""
    choices = list(_choices(kind))
    if len(choices) > 1:
        found = [wrong(value, each, shapes, place) for each in choices]
        return [] if [] in found else [said for each in found for said in each]
    kind = choices[0]
    if kind.startswith("("):
        return wrong(value, kind[1:-1], shapes, place)
    for word, container in (("list of ", list), ("map of ", dict)):
        if kind.startswith(word):
            return _inside(value, kind.removeprefix(word), container, shapes, place)
    if kind == "empty":
        return [] if value == {} else [f"{place} is not empty"]
    if kind in SIMPLE:
        fits = isinstance(value, SIMPLE[kind]) and (
            kind == "boolean" or not isinstance(value, bool)
        )
        return [] if fits else [f"{place} is no {kind}: {value!r}"]
    return _as_shape(value, kind, shapes, place)


def _choices(kind: str) -> Iterator[str]:
    """Yield the types between which there is an "or" outside of parentheses."""
    depth, begin = 0, 0
    for found in re.finditer(r"[()]| or ", kind):
        depth += {"(": 1, ")": -1}.get(found[0], 0)
        if found[0] == " or " and not depth:
            yield kind[begin : found.start()]
            begin = found.end()
    yield kind[begin:]


def _inside(value: Any, kind: str, container: type[Any], shapes: Shapes, place: str) -> list[str]:
    if not isinstance(value, container):
        return [f"{place} is no {container.__name__}: {value!r}"]
    items = value.items() if container is dict else enumerate(value)
    return [said for key, each in items for said in wrong(each, kind, shapes, f"{place}.{key}")]


def _as_shape(value: Any, name: str, shapes: Shapes, place: str) -> list[str]:
    shape = shapes[name]
    if not shape.keys:
        return wrong(value, shape.prints, shapes, place)
    if not isinstance(value, dict):
        return [f"{place} is no {name}: {value!r}"]
    missing = [f"{place} has no {key}" for key in {*shape.keys} - {*value} - shape.optional]
    unknown = [f"{place}.{key} is not documented" for key in {*value} - {*shape.keys}]
    return (
        missing
        + unknown
        + [
            said
            for key, each in value.items()
            if key in shape.keys
            for said in wrong(each, shape.keys[key], shapes, f"{place}.{key}")
        ]
    )
