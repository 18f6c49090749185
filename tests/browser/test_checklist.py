"""The checklist holds the steps' own words, and fits on paper."""

from __future__ import annotations

import re

from playwright.sync_api import Page

from tljh_runbook.guide import catalog

from .browsing import Site

STEPS = ("upgrade.rehearse", "backup", "upgrade.check", "upgrade.run", "upgrade.verify", "rollback")

GROUND_AND_WORDS = """() => {
  const style = getComputedStyle(document.body);
  return [style.backgroundColor, style.color];
}"""
BOX = """() => {
  const item = document.querySelector("ul.checklist li");
  return getComputedStyle(item, "::before").borderTopColor;
}"""


def test_an_item_is_the_steps_own_title_and_leads_to_it(tab: Page, site: Site) -> None:
    tab.goto(site.url("how-to/checklist"))
    for step in map(catalog.find, STEPS):
        item = tab.locator("ul.checklist li").filter(has_text=f"{step.title}: {step.command}")
        assert item.count() == 1
        target = item.get_by_role("link", name=step.command, exact=True).get_attribute("href")
        assert target is not None
        assert target.endswith(f"#step-{step.name.replace('.', '-')}")


def test_it_fits_on_two_sheets_in_black_on_white(tab: Page, site: Site) -> None:
    tab.emulate_media(color_scheme="dark")
    tab.goto(site.url("how-to/checklist"))
    printed = tab.pdf(format="A4", prefer_css_page_size=True)
    assert 1 <= len(re.findall(rb"/Type\s*/Page\b", printed)) <= 2
    tab.emulate_media(media="print", color_scheme="dark")
    assert tab.locator(".sidebar-drawer").is_hidden()
    assert tab.evaluate(GROUND_AND_WORDS) == ["rgb(255, 255, 255)", "rgb(0, 0, 0)"]
    assert tab.evaluate(BOX) == "rgb(0, 0, 0)"
