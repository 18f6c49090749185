"""Diagrams from a short description in the page: boxes on a grid, and arrows between them.

The body of ``{diagram}`` is YAML. ``grid`` places the boxes: a name in several cells is one box
that spans them, and a dot is an empty cell. ``boxes`` is the text in each box, line by line;
``tells`` describes the diagram for readers who cannot see it. ``columns`` and ``rows`` are sizes,
``kinds`` selects another style for a box, and ``arrows`` connects two boxes. The colours come from
the site's stylesheet, so that they follow the light and dark modes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from docutils import nodes
from ruamel.yaml import YAML
from sphinx.errors import ExtensionError
from sphinx.util.docutils import SphinxDirective

GAP, LINE = 14, 19  # the gap between boxes, and the line height of text
HEAD = "M0 0L8 4L0 8z"
SVG = "http://www.w3.org/2000/svg"


@dataclass(frozen=True)
class Box:
    """A box in the drawing, in SVG user units."""

    x: float
    y: float
    width: float
    height: float

    @property
    def middle(self) -> tuple[float, float]:
        """The centre of the box, and of its text."""
        return self.x + self.width / 2, self.y + self.height / 2


class Diagram(SphinxDirective):
    """Draw a diagram; the argument is its title."""

    required_arguments = 1
    final_argument_whitespace = True
    has_content = True

    def run(self) -> list[nodes.Node]:
        """Return the drawing, with its title below it."""
        title = self.arguments[0]
        drawn = draw(YAML(typ="safe").load("\n".join(self.content)), title)
        picture = nodes.raw("", drawn, format="html")
        figure = nodes.figure("", picture, nodes.caption("", title), classes=["diagram"])
        self.set_source_info(figure)
        return [figure]


def draw(source: Mapping[str, Any], title: str) -> str:
    """Return the drawing as SVG to embed in a page."""
    columns, rows = source["columns"], [row.split() for row in source["grid"]]
    heights = source["rows"]
    boxes = _boxes(rows, columns, heights)
    key = nodes.make_id(title)
    wide, high = (_before(sizes, len(sizes)) - GAP + 1 for sizes in (columns, heights))
    words = " ".join(f"{title}. {source['tells']}".split())
    named = {"role": "img", "aria-label": words}
    svg = Element("svg", {"xmlns": SVG, "viewBox": f"0 0 {wide:g} {high:g}", **named})
    _head(svg, f"{key}-head")
    for name, box in boxes.items():
        _box(svg, box, source["boxes"][name], source.get("kinds", {}).get(name, "plain"))
    for line in source.get("arrows", []):
        start, end = (boxes[name.strip()] for name in line.split(">"))
        _arrow(svg, start, end, f"{key}-head")
    return ElementTree.tostring(svg, encoding="unicode")


def _boxes(
    rows: Sequence[Sequence[str]], columns: Sequence[int], heights: Sequence[int]
) -> dict[str, Box]:
    cells: dict[str, list[tuple[int, int]]] = {}
    for row, names in enumerate(rows):
        for column, name in enumerate(names):
            if name != ".":
                cells.setdefault(name, []).append((column, row))
    return {name: _span(found, columns, heights) for name, found in cells.items()}


def _span(cells: Sequence[tuple[int, int]], columns: Sequence[int], heights: Sequence[int]) -> Box:
    (left, top), (right, bottom) = cells[0], cells[-1]
    x, y = _before(columns, left), _before(heights, top)
    return Box(x, y, _before(columns, right + 1) - GAP - x, _before(heights, bottom + 1) - GAP - y)


def _before(sizes: Sequence[int], count: int) -> float:
    return 1 + sum(sizes[:count]) + GAP * count


def _head(svg: Element, key: str) -> None:
    size = {"markerWidth": "8", "markerHeight": "8", "refX": "7", "refY": "4", "orient": "auto"}
    SubElement(SubElement(svg, "marker", {"id": key, **size}), "path", {"d": HEAD})


def _box(svg: Element, box: Box, text: str, kind: str) -> None:
    group = SubElement(svg, "g", {"class": kind})
    edges = {"x": box.x, "y": box.y, "width": box.width, "height": box.height, "rx": 6}
    SubElement(group, "rect", {key: f"{value:g}" for key, value in edges.items()})
    x, y = box.middle
    lines = text.strip().splitlines()
    for number, line in enumerate(lines):
        down = y + (number - (len(lines) - 1) / 2) * LINE
        SubElement(group, "text", {"x": f"{x:g}", "y": f"{down:g}"}).text = line


def _arrow(svg: Element, start: Box, end: Box, head: str) -> None:
    (x1, y1), (x2, y2) = _ends(start, end)
    place = {"x1": x1, "y1": y1, "x2": x2, "y2": y2}
    ends = {key: f"{value:g}" for key, value in place.items()}
    SubElement(svg, "line", {**ends, "marker-end": f"url(#{head})"})


def _ends(start: Box, end: Box) -> Iterator[tuple[float, float]]:
    """Yield the start and end of a vertical or horizontal arrow, from edge to edge.

    Raises `ExtensionError` if the boxes share neither a row nor a column.
    """
    across = _shared(start.x, start.width, end.x, end.width)
    down = _shared(start.y, start.height, end.y, end.height)
    if across is not None:
        below = end.y > start.y
        yield across, start.y + start.height * below
        yield across, end.y + end.height * (not below)
    elif down is not None:
        right = end.x > start.x
        yield start.x + start.width * right, down
        yield end.x + end.width * (not right), down
    else:
        raise ExtensionError(
            "An arrow of a diagram goes between boxes that share a row or a column."
        )


def _shared(first: float, length: float, second: float, other: float) -> float | None:
    """Return the middle of the overlap of two boxes along one axis; None without overlap."""
    low, high = max(first, second), min(first + length, second + other)
    return (low + high) / 2 if low < high else None
