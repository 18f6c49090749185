"""The search leads from a message to what it means, in the first place."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page

from .browsing import Site

FIRST = "#symptoms li:first-child a"
# What may stand where a message has a hole.
FILLED = "() => SYMPTOMS.map(([shown, holes]) => [shown, holes.replaceAll('…', '/srv/x-42.yml')])"
FOUND = "typed => (symptomsLike(typed)[0] ?? [''])[0]"
WORDS = "shown => wordsOf(SYMPTOMS.find(each => each[0] === shown)[1]).join(' ')"


def search(tab: Page, site: Site, question: str) -> None:
    tab.set_viewport_size({"width": 1280, "height": 900})
    tab.goto(site.url("index"))
    field = tab.locator(".sidebar-search")
    field.fill(question)
    field.press("Enter")
    tab.wait_for_url("**/search.html?**")


@pytest.mark.parametrize(
    ("question", "shown"),
    [
        (
            "error: There is no inventory /root/our hosts. Nothing was started.",
            "There is no inventory",
        ),
        (
            "hub1.example.org: failed: The server cannot be reached: connect to host"
            " hub1.example.org port 22: Connection refused.",
            "The server cannot be reached",
        ),
        ("host key of the server is not known", "The host key of the server is not known here"),
        ("snapshot 20261122T155422Z is damaged", "The snapshot NAME is damaged"),
    ],
)
def test_a_message_or_a_part_of_it_leads_to_its_meaning(
    tab: Page, site: Site, question: str, shown: str
) -> None:
    search(tab, site, question)
    link = tab.locator(FIRST)
    assert shown in link.inner_text()
    link.click()
    target = tab.locator(f"[id='{tab.url.partition('#')[2]}']")
    assert shown in target.inner_text()


def test_every_message_finds_itself_first(tab: Page, site: Site) -> None:
    tab.goto(site.url("search"))
    messages = tab.evaluate(FILLED)
    assert len(messages) > 100
    found = {shown: tab.evaluate(FOUND, typed) for shown, typed in messages}
    assert {shown: each for shown, each in found.items() if not each} == {}
    words = {shown: tab.evaluate(WORDS, shown) for shown in found}
    # Two texts may differ in nothing but their holes: then only a person can tell them apart.
    assert {shown: each for shown, each in found.items() if words[each] != words[shown]} == {}


def test_every_message_leads_to_where_it_stands(tab: Page, site: Site) -> None:
    tab.goto(site.url("search"))
    for shown, _, address, _ in tab.evaluate("() => SYMPTOMS"):
        file, _, anchor = address.partition("#")
        assert f'id="{anchor}"' in (site.folder / file).read_text(), shown


def test_words_that_are_no_message_are_left_to_the_usual_search(tab: Page, site: Site) -> None:
    search(tab, site, "rehearsal")
    tab.locator("#search-results li a").first.wait_for()
    assert tab.locator("#symptoms").is_hidden()
