"""Diagrams are drawn from a grid of names."""

from itertools import pairwise
from xml.etree import ElementTree

import pytest
from sphinx.errors import ExtensionError

from tljh_runbook.guide.site.diagrams import SVG, draw

SOURCE = {
    "tells": "One leads to two.",
    "columns": [100, 50],
    "rows": [40, 40],
    "grid": ["one .", "one two"],
    "boxes": {"one": "first\nof two", "two": "<second>"},
    "kinds": {"two": "main"},
    "arrows": ["one > two"],
}


def drawn(**changed: object) -> ElementTree.Element:
    return ElementTree.fromstring(draw({**SOURCE, **changed}, "A title"))  # noqa: S314 our own


def test_a_box_covers_all_cells_that_have_its_name_and_no_other() -> None:
    one, two = drawn().iter(f"{{{SVG}}}rect")
    assert (one.get("width"), one.get("height")) == ("100", "94")
    assert (two.get("x"), two.get("y"), two.get("height")) == ("115", "55", "40")


def test_text_is_text_line_by_line() -> None:
    assert [each.text for each in drawn().iter(f"{{{SVG}}}text")] == ["first", "of two", "<second>"]
    ups = [float(each.get("y", "")) for each in drawn().iter(f"{{{SVG}}}text")][:2]
    assert all(above < below for above, below in pairwise(ups))


def test_who_cannot_see_it_is_told() -> None:
    assert drawn().get("aria-label") == "A title. One leads to two."


def test_an_arrow_goes_straight_from_edge_to_edge() -> None:
    line = next(drawn().iter(f"{{{SVG}}}line"))
    assert [line.get(key) for key in ("x1", "y1", "x2", "y2")] == ["101", "75", "115", "75"]


def test_an_arrow_that_cannot_be_straight_is_refused() -> None:
    with pytest.raises(ExtensionError, match="share a row or a column"):
        drawn(grid=["one .", ". two"])
