"""A reader's own server is filled into the commands, in the browser and nowhere else."""

from __future__ import annotations

import shlex

import pytest
from playwright.sync_api import Page, expect

from .browsing import Site

PAGE = "install/ansible"
COPIED = "() => navigator.clipboard.readText()"
USUAL = "ssh -t ubuntu@hub.example.org sudo id"
SITE_PLAYBOOK = "src/tljh_runbook/playbooks/site.yml"


def fill(tab: Page, **values: str) -> None:
    tab.locator(".my-server summary").click()
    for name, value in values.items():
        tab.locator(f".my-server input[name={name}]").fill(value)
    tab.get_by_role("button", name="Fill in").click()


def copied(tab: Page, text: str) -> str:
    block = tab.locator(".highlight").filter(has_text=text).last
    block.hover()
    block.locator("button.copybtn").click()
    tab.locator("button.copybtn.success").wait_for()
    return str(tab.evaluate(COPIED))


def test_values_are_in_every_command_on_every_page_and_in_what_is_copied(
    tab: Page, site: Site
) -> None:
    asked: list[str] = []
    tab.goto(site.url(PAGE), wait_until="networkidle")
    tab.mouse.move(9, 9)  # then the site fetches what copies
    tab.locator("button.copybtn").first.wait_for(state="attached")
    tab.on("request", lambda request: asked.append(request.url))
    fill(tab, host="hub.school.org", user="anna", inventory="~/my servers.ini")
    assert asked == []  # nothing is sent to anybody
    command = copied(tab, SITE_PLAYBOOK)
    assert shlex.split(command)[1:3] == ["-i", "~/my servers.ini"]
    tab.goto(site.url("install/requirements"))
    filled_in = USUAL.replace("ubuntu@hub.example.org", "anna@hub.school.org")
    expect(tab.locator("pre", has_text="sudo id")).to_have_text(filled_in)
    tab.get_by_text("My server: anna@hub.school.org").click()
    tab.get_by_role("button", name="As in the guide").click()
    expect(tab.locator("pre", has_text="sudo id")).to_have_text(USUAL)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("host", "<img src=x onerror=alert(1)>"),
        pytest.param("host", "hub.org; rm -rf /", marks=pytest.mark.nightly),
        pytest.param("host", "-oProxyCommand=id", marks=pytest.mark.nightly),
        ("user", "anna$(id)"),
        ("inventory", "--list"),
    ],
)
def test_what_no_name_may_be_is_refused_and_changes_nothing(
    tab: Page, site: Site, field: str, value: str
) -> None:
    tab.goto(site.url(PAGE))
    before = tab.locator("article").inner_html()
    fill(tab, **{field: value})
    assert tab.locator("[data-wrong]").inner_text()
    assert tab.evaluate("() => localStorage.length") == 0
    assert tab.locator("article .highlight").all_inner_texts() != []
    assert tab.locator(".is-mine").count() == 0
    assert tab.locator("article img").count() == before.count("<img")


@pytest.mark.parametrize(
    "path",
    [
        "it's $(id) <b>mine</b>",
        *(pytest.param(path, marks=pytest.mark.nightly) for path in ("a; id", "`id`", 'a"b')),
    ],
)
def test_a_path_is_one_word_to_a_shell_whatever_is_in_it(tab: Page, site: Site, path: str) -> None:
    tab.goto(site.url(PAGE))
    fill(tab, inventory=path)
    assert shlex.split(copied(tab, SITE_PLAYBOOK))[1:3] == ["-i", path]
    assert tab.locator("article pre b").count() == 0


def test_what_another_has_put_into_the_browsers_memory_is_not_used(tab: Page, site: Site) -> None:
    tab.goto(site.url(PAGE))
    tab.evaluate("""() => localStorage.setItem("tljh-runbook.my-server",
      JSON.stringify({ host: "x; id", user: ["a"], inventory: "ours" }))""")
    tab.reload()
    assert tab.locator(".is-mine").all_inner_texts() != []
    assert set(tab.locator(".is-mine").all_inner_texts()) == {"ours"}
    tab.evaluate("() => localStorage.setItem('tljh-runbook.my-server', '{')")
    tab.reload()
    assert tab.locator(".is-mine").count() == 0


def test_without_javascript_the_page_is_plain(site: Site, plain: Page) -> None:
    plain.goto(site.url("install/requirements"))
    expect(plain.locator("pre", has_text="sudo id")).to_have_text(USUAL)
    assert not plain.locator(".my-server").count()


def test_a_transcript_keeps_what_was_printed(tab: Page, site: Site) -> None:
    tab.goto(site.url("install/ansible"))
    printed = tab.locator(".highlight-console .go").all_inner_texts()
    fill(tab, host="hub.school.org", user="anna", inventory="ours")
    assert tab.locator(".highlight-console .go").all_inner_texts() == printed


def test_what_is_copied_has_no_prompt_and_nothing_that_was_printed(tab: Page, site: Site) -> None:
    tab.goto(site.url("upgrade"))
    assert copied(tab, "The last upgrade changed nothing") == "invoke backup upgrade"
    tab.goto(site.url("install/several-servers"))
    text = copied(tab, "--limit hub2.example.org backup.database")
    assert text == "invoke --dry hosts --limit hub2.example.org backup.database upgrade.check"


def test_what_is_copied_goes_on_where_a_command_does(tab: Page, site: Site) -> None:
    tab.goto(site.url("install/several-servers"))
    block = tab.locator(".highlight-console pre").last
    block.evaluate("""pre => pre.firstChild.replaceWith(
      "$ cat > hosts <<'EOF'\\n> [server]\\n> EOF\\n$ cat hosts\\n[server]\\n")""")
    text = copied(tab, "$ cat hosts")
    assert text.startswith("cat > hosts <<'EOF'\n[server]\nEOF\ncat hosts")
