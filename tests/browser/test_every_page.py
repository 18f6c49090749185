"""Every page can be read by everybody, on every screen, and asks nobody else for anything."""

from __future__ import annotations

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, ViewportSize

from .browsing import MADE, SOURCES, Site

KILOBYTES = 45  # of the first load, compressed, without pictures; the search has two lists besides
PICTURES = (".svg", ".png")
INDEX = ("searchindex.js", "symptoms.js")
PHONE: ViewportSize = {"width": 360, "height": 780}
# The theme and the width change the same style sheet on all pages: one page a day, all at night.
DAILY = "upgrade"
PAGES = [
    pytest.param(name, marks=[] if name == DAILY else pytest.mark.nightly)
    for name in [*SOURCES, *MADE]
]
# How many pixels wider than the screen the page is.
TOO_WIDE = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"
# The texts of diagrams that do not fit into their boxes.
SPILLED = """() => [...document.querySelectorAll(".diagram g")].flatMap(group => {
  const box = group.querySelector("rect").getBBox();
  return [...group.querySelectorAll("text")].filter(text => {
    const words = text.getBBox();
    return words.x < box.x || words.x + words.width > box.x + box.width;
  }).map(text => text.textContent);
})"""


# Colours may take a moment to change: axe must not look at them on their way.
AT_REST = "() => Promise.allSettled(document.getAnimations().map(each => each.finished))"


def violations(tab: Page, *, contrast: bool | None = None) -> list[str]:
    """Return what axe finds wrong; where ``contrast`` is given, only in it, or in all but it."""
    tab.evaluate(AT_REST)
    options: dict[str, object] = {"resultTypes": ["violations"]}
    if contrast:
        options["runOnly"] = {"type": "rule", "values": ["color-contrast"]}
    elif contrast is False:
        options["rules"] = {"color-contrast": {"enabled": False}}
    found = Axe().run(tab, options=options).response["violations"]
    return [f"{each['id']}: {node['html'][:200]}" for each in found for node in each["nodes"]]


def test_a_page_is_light_and_accessible_and_fits(tab: Page, site: Site, name: str) -> None:
    asked: list[str] = []
    tab.on("request", lambda request: asked.append(request.url))
    tab.set_viewport_size({"width": 1280, "height": 900})
    tab.goto(site.url(name), wait_until="networkidle")

    assert [url for url in asked if not url.startswith((site.host, "data:"))] == []
    files = {url for url in asked if url.startswith(site.host)}
    counted = [url for url in files if not url.partition("?")[0].endswith((*PICTURES, *INDEX))]
    assert sum(site.weight(url) for url in counted) <= KILOBYTES * 1000

    assert tab.evaluate(SPILLED) == []
    assert violations(tab) == []
    tab.set_viewport_size(PHONE)
    assert tab.evaluate(TOO_WIDE) <= 0


@pytest.mark.parametrize("page", PAGES)
def test_a_page_is_accessible_in_the_dark_and_on_a_phone(tab: Page, site: Site, page: str) -> None:
    tab.set_viewport_size({"width": 1280, "height": 900})
    tab.emulate_media(color_scheme="dark")
    tab.goto(site.url(page), wait_until="networkidle")
    assert violations(tab, contrast=True) == []
    tab.set_viewport_size(PHONE)
    assert violations(tab, contrast=False) == []  # colors are the same at any width


@pytest.mark.parametrize(
    "missing",
    [
        "a/b/c/nothing",
        pytest.param("nothing.html", marks=pytest.mark.nightly),
        pytest.param("../stable/upgrade.html", marks=pytest.mark.nightly),
    ],
)
def test_what_is_not_there_is_answered_at_any_depth(tab: Page, site: Site, missing: str) -> None:
    failed: list[str] = []
    tab.on("response", lambda each: failed.append(each.url) if each.status == 404 else None)
    url = site.url("index").replace("index.html", missing)
    tab.goto(url, wait_until="networkidle")
    assert tab.title().startswith("This page is not here")
    assert len(failed) == 1  # the page itself; its style and its pictures are found
    tab.get_by_role("link", name="Rolling back").first.click()
    assert tab.url == site.url("how-to/roll-back")


def test_dark_and_light_are_chosen_with_a_button_and_remembered(tab: Page, site: Site) -> None:
    def ground() -> str:
        return str(tab.evaluate("() => getComputedStyle(document.body).backgroundColor"))

    tab.set_viewport_size({"width": 1280, "height": 900})
    tab.emulate_media(color_scheme="light")
    tab.goto(site.url("index"))
    light = ground()
    while tab.evaluate("() => document.body.dataset.theme") != "dark":
        tab.locator(".theme-toggle-content .theme-toggle").click()
    dark = ground()
    assert dark != light
    tab.goto(site.url("upgrade"))
    assert ground() == dark


def test_llms_txt_tells_of_every_page_in_the_order_of_the_guide(site: Site) -> None:
    lines = (site.folder / "llms.txt").read_text().splitlines()
    pages = [line for line in lines if line.startswith("- [")]
    named = [line.partition("](")[2].partition(")")[0] for line in pages]
    assert named[:2] == ["tutorial/first-upgrade.html", "install/requirements.html"]
    missing = [name for name in SOURCES if f"{name}.html" not in named]
    assert sorted(missing) == ["404", "index"]  # index is the heading
    assert [line for line in pages if line.endswith(": ")] == []


def test_a_link_to_a_page_shows_its_title_and_its_summary(tab: Page, site: Site) -> None:
    tab.goto(site.url("how-to/rehearse"))
    title = tab.locator('meta[property="og:title"]').get_attribute("content")
    assert title == "Rehearsing an upgrade"
    summary = tab.locator('meta[property="og:description"]').get_attribute("content")
    assert summary == tab.locator("article p").first.inner_text()
    picture = tab.locator('meta[property="og:image"]').get_attribute("content") or "none"
    assert (site.folder / picture).read_bytes().startswith(b"\x89PNG")
