"""Three versions of config.yaml made one: nobody's change is lost, nor a comment."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import hub_folder
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tljh_runbook.errors import ConfigBroken
from tljh_runbook.hub.core import config, yaml
from tljh_runbook.hub.core.layout import Hub
from tljh_runbook.hub.upgrade.stage import merge as merging
from tljh_runbook.hub.upgrade.stage.merge import UNSET, MergeChange, merge
from tljh_runbook.hub.upgrade.stage.rewriting import same, tree

BASE = """\
# Ask Alice first.
users:
  admin:
  - alice   # she knows the machine
  allowed: [alice, "bob", 'carol']
limits:
  # the machine has little memory
  memory: '1G'
# Students leave their servers running.
services:
  cull:
    enabled: false
"""

# The places that an administrator can share between keys.
SHARED = """\
small: &small
  # for the first year
  memory: '1G'
  cpu: 1
large: *small
# for the teachers
teachers:
  <<: *small
  cpu: 2
"""


def values(text: str) -> dict[Any, Any]:
    return tree(yaml.parse(text)) or {}


def comments(text: str) -> list[str]:
    return sorted("#" + line.partition("#")[2] for line in text.split("\n") if "#" in line)


def lines_of_comment(text: str) -> list[str]:
    return sorted(line.strip() for line in text.split("\n") if line.strip().startswith("#"))


def changed(old: str, new: str) -> tuple[list[str], list[str]]:
    """Return the lines that only one of two texts has."""
    was, now = old.splitlines(), new.splitlines()
    return [line for line in was if line not in now], [line for line in now if line not in was]


def test_what_the_installer_set_is_taken() -> None:
    merged = merge(
        BASE, BASE, BASE.replace("memory: '1G'", "memory: none") + "https: {port: 443}\n"
    )
    assert merged.changes == [
        MergeChange("limits.memory", "1G", "none"),
        MergeChange("https.port", UNSET, 443),
    ]
    assert merged.conflicts == []
    assert changed(BASE, merged.text) == (
        ["  memory: '1G'"],
        ["  memory: 'none'", "https:", "  port: 443"],
    )


def test_what_the_installer_removed_goes_and_no_comment_with_it() -> None:
    staged = BASE.replace("  memory: '1G'\n", "  cpu: 2\n")
    merged = merge(BASE, BASE, staged)
    assert values(merged.text) == values(staged)
    assert comments(merged.text) == comments(BASE)
    assert merged.changes == [
        MergeChange("limits.memory", "1G", UNSET),
        MergeChange("limits.cpu", UNSET, 2),
    ]


def test_an_entry_of_a_list_is_added_between_what_is_there() -> None:
    merged = merge(BASE, BASE, BASE.replace("  - alice ", "  - root\n  - alice "))
    assert changed(BASE, merged.text) == ([], ["  - root"])
    assert merged.changes == [MergeChange("users.admin", ["alice"], ["root", "alice"])]


def test_an_edit_made_meanwhile_is_kept() -> None:
    live = BASE.replace("enabled: false", "enabled: true   # since Monday")
    merged = merge(BASE, live, BASE + "http:\n  port: 8080\n")
    assert changed(live, merged.text) == ([], ["http:", "  port: 8080"])
    assert merged.conflicts == []


def test_a_key_that_both_set_stays_as_the_administrator_has_it() -> None:
    live, staged = (BASE.replace("'1G'", size) for size in ("3G", "2G"))
    merged = merge(BASE, live, staged + "http: {port: 8080}\n")
    assert merged.conflicts == ["limits.memory"]
    assert values(merged.text)["limits"] == {"memory": "3G"}
    assert values(merged.text)["http"] == {"port": 8080}


def test_the_same_change_by_both_is_no_conflict() -> None:
    live, staged = BASE.replace("'1G'", "2G  # more"), BASE.replace("'1G'", '"2G"')
    merged = merge(BASE, live, staged)
    assert (merged.text, merged.changes, merged.conflicts) == (live, [], [])


def test_a_list_that_both_changed_is_one_value() -> None:
    live, staged = (BASE.replace("[alice,", f"[{name}, alice,") for name in ("dan", "eve"))
    merged = merge(BASE, live, staged)
    assert (merged.text, merged.conflicts) == (live, ["users.allowed"])


@pytest.mark.parametrize(
    ("base", "live", "staged", "wanted", "conflicts"),
    [
        ("a: 1", "a: {b: 2}", "a: {c: 3}", {"a": {"b": 2}}, ["a"]),
        ("a: {b: 1}", "a: 2", "a: {b: 3}", {"a": 2}, ["a"]),
        ("a: {b: 1}", "a: {b: 2}", "a: 3", {"a": {"b": 2}}, ["a"]),
        ("a: {b: 1}", "a: null", "a: {b: 3}", {"a": None}, ["a"]),
        ("a: {b: 1}", "a: null", "a: {b: 1}", {"a": None}, []),
        ("", "a: {b: 1}", "a: {c: 2}", {"a": {"b": 1, "c": 2}}, []),
        ("", "a: {b: 1}", "a: {b: 2}", {"a": {"b": 1}}, ["a.b"]),
        ("a: {b: 1}", "", "a: {b: 2}", {}, ["a.b"]),
        ("a: {b: 1}", "", "a: {b: 1, c: 2}", {"a": {"c": 2}}, []),
        ("a: {b: 1, c: 1}", "a: {b: 2, c: 1}", "", {"a": {"b": 2}}, ["a.b"]),
        ("a: {b: 1, c: 1}", "a: {c: 1}", "", {}, []),
        ("a: {b: 1}", "a: {}", "", {"a": {}}, []),
        ("a: {b: 1}", "a: {b: 1}", "a: {}", {"a": {}}, []),
        ("a: {}", "a: {}", "", {}, []),
        ("a: 1", "a: 1", "a: true", {"a": True}, []),
        ("a: 1", "a: 1", "a: 1.0", {"a": 1.0}, []),
        ("a: .nan", "a: .nan", "a: .nan", {"a": float("nan")}, []),
        ("a: null", "a: null", "", {}, []),
        ("", "", "a: null", {"a": None}, []),
        ("a.b: 1\na: {b: 1}", "a.b: 1", "a.b: 3\na: {b: 1}", {"a.b": 3}, []),
        ("a.b: 1\na: {b: 1}", "a.b: 2\na: {b: 1}", "a.b: 1", {"a.b": 2}, []),
        ("1: a\nnull: b", "1: a\nnull: c", "1: d\nnull: b\n2: e", {1: "d", None: "c", 2: "e"}, []),
    ],
)  # fmt: skip
def test_each_key_comes_from_the_side_that_changed_it(
    base: str, live: str, staged: str, wanted: Any, conflicts: list[str]
) -> None:
    merged = merge(base, live, staged)
    assert same(values(merged.text), wanted)
    assert merged.conflicts == conflicts


@pytest.mark.parametrize(
    ("find", "put"),
    [
        ("  memory: '1G'\n", ""),
        ("  cull:\n    enabled: false\n", "  cull: off\n"),
        ("  - alice   # she knows the machine\n", "    []\n"),
    ],
)
def test_a_line_of_comment_stays_between_the_lines_it_was_between(find: str, put: str) -> None:
    merged = merge(BASE, BASE, BASE.replace(find, put))
    assert values(merged.text) == values(BASE.replace(find, put))
    lines = merged.text.splitlines()
    assert lines_of_comment(merged.text) == lines_of_comment(BASE)
    assert lines[lines.index("# Students leave their servers running.") + 1] == "services:"
    before = lines[lines.index("  # the machine has little memory") - 1]
    assert before.startswith("limits:")


def test_comments_stay_in_place_around_what_is_emptied_and_set_otherwise() -> None:
    live = """\
users:
  admin:
    - alice   # she knows
    - bob     # he helps
  # below admin
base_url: /
limits:
  # little memory
  memory: '1G'
services:
  # about cull
  cull: {timeout: 1}
  # the end
"""
    staged = "users: {admin: [alice]}\nbase_url: /\nlimits: {}\nservices: {cull: 3}\n"
    assert (
        merge(live, live, staged).text
        == """\
users:
  admin:
  - alice     # she knows
  # below admin
base_url: /
limits: {}
  # little memory
services:
  # about cull
  cull: 3
  # the end
"""
    )


def test_a_comment_stays_above_an_entry_that_is_moved_to_the_left() -> None:
    live = "admin:\n    - bob\n    # she knows\n    - alice\n"
    lines = merge(live, live, "admin: [alice]").text.split()
    assert " ".join(lines) == "admin: # she knows - alice"


def test_a_section_that_came_from_elsewhere_is_changed_for_itself() -> None:
    live = "one: &one\n  deep:\n    a: '1'\n    b: 2\ntwo:\n  <<: *one\n  c: 3\n"
    staged = "one: {deep: {a: '1', b: 2}}\ntwo: {deep: {a: '1', b: 9}, c: 3}\n"
    merged = merge(live, live, staged)
    assert same(values(merged.text), values(staged))
    assert merged.text.startswith(live.replace("  c: 3\n", ""))


@pytest.mark.parametrize("live", ["", "# Ask Alice first.\n\n# limits:\n#   cpu: 1", "---\n# a\n"])
def test_a_file_without_values_keeps_its_comments(live: str) -> None:
    merged = merge(live, live, "limits: {memory: 2G}")
    assert merged.text.startswith(live)
    assert values(merged.text) == {"limits": {"memory": "2G"}}


def test_a_change_at_an_anchor_is_seen_wherever_it_is_named() -> None:
    merged = merge(SHARED, SHARED, SHARED.replace("'1G'", "none"))
    assert changed(SHARED, merged.text) == (["  memory: '1G'"], ["  memory: 'none'"])
    assert values(merged.text)["teachers"] == {"memory": "none", "cpu": 2}


@pytest.mark.parametrize("name", ["small", "large", "teachers"])
def test_a_change_at_one_place_stays_there(name: str) -> None:
    wanted = values(SHARED)
    wanted[name]["memory"] = "9G"
    merged = merge(SHARED, SHARED, yaml.dump(tree(wanted)))
    assert values(merged.text) == wanted
    assert lines_of_comment(merged.text) == lines_of_comment(SHARED)
    assert [each.name for each in merged.changes] == [f"{name}.memory"]
    assert "&small" in merged.text


@pytest.mark.parametrize("key", ["memory", "cpu"])
def test_what_came_from_elsewhere_can_be_removed(key: str) -> None:
    wanted = values(SHARED)
    del wanted["teachers"][key]
    merged = merge(SHARED, SHARED, yaml.dump(tree(wanted)))
    assert values(merged.text) == wanted
    assert lines_of_comment(merged.text) == lines_of_comment(SHARED)


@pytest.mark.parametrize(
    "special",
    [
        "a: !!binary aGVsbG8=",
        "a: !!set {b, c}",
        "a: 2026-01-02",
        "a: 2026-01-02T03:04:05+02:00",
        "a: 2026-01-02T03:04:05Z",
        "a: 0x1F",
        "a: 0o17",
        "a: 1_000",
        "a: 1e3",
        "a: .inf",
        "a: 'yes'",
        'a: "\\a\\u2028"',
        "a: |\n  # no comment\n  b\n",
        "? [a, b]\n: 1",
        "2026-01-02: 1",
        "? |\n  two\n  lines\n: 1",
        "%YAML 1.1\n---\na: yes\nb: 010\n...",
    ],
)
def test_special_values_survive(special: str) -> None:
    old, new = f"{special}\n", f"{special}\n".replace("...\n", "") + "other: {deep: 1}\n"
    for base, live, staged in [(old, old, new), ("", "other: {deep: 1}\n", old), ("", "", new)]:
        merged = merge(base, live, staged)
        assert same(values(merged.text), values(staged) | values(live))
    assert values(merge(new, new, old).text) == values(old)


def test_a_set_is_the_same_in_any_order() -> None:
    one, other = {0, 8}, {8, 0}
    assert str(one) != str(other)
    assert same(one, other)
    assert not same(one, {0, 9})


@pytest.mark.parametrize("which", [0, 1, 2])
@pytest.mark.parametrize(
    "text",
    [
        "a: [b",
        "- a\n",
        "words\n",
        "a: secret-1\na: secret-2\n",
        "a: 1\n---\nb: 2\n",
        "a: 2024-13-45\n",
        "a: &a {b: *a}\n",
        "a: &a [*a]\n",
        "a: !secret-1 b\n",
    ],
)
def test_a_broken_text_is_named_and_not_quoted(which: int, text: str) -> None:
    texts = ["", "", ""]
    texts[which] = text
    with pytest.raises(ConfigBroken, match=r"Nothing was changed") as told:
        merge(*texts)
    assert told.value.message.startswith((merging.BASE, merging.LIVE, merging.STAGED)[which])
    assert "secret" not in str(told.value) + told.value.hint


def test_values_are_not_shown() -> None:
    merged = merge("a: secret-0\nk: 1", "a: secret-0\nk: secret-1", "a: secret-2\nk: secret-3")
    assert "secret" not in repr(merged)
    assert "'a'" in repr(merged)


# What holds for all texts.

KEYS = st.sampled_from(["limits", "cull", "memory", "a.b", "b", 1, None])
LEAVES: st.SearchStrategy[Any] = st.sampled_from(
    [None, True, 0, 1, 1.5, "1G", "yes", "# no comment", "é\n: '", [], {}]
)
TREES: st.SearchStrategy[dict[Any, Any]] = st.dictionaries(
    KEYS,
    st.recursive(
        LEAVES,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
        max_leaves=6,
    ),
    max_size=4,
)


@st.composite
def commented(draw: st.DrawFn) -> str:
    """Return a text as an administrator could write it, with comments at any place."""
    text = yaml.dump(draw(TREES))
    for number in range(draw(st.integers(0, 5))):
        lines = text.split("\n")
        place = draw(st.integers(0, len(lines) - 1))
        indent = " " * draw(st.integers(0, 4))
        beside = draw(st.booleans())
        lines[place] += f"  # c{number}" if beside else f"\n{indent}# c{number}"
        said = "\n".join(lines)
        text = said if same(values(said), values(text)) else text
    return text


TEXTS = commented() | st.sampled_from(["", BASE, SHARED, "# only a comment"])
every_case = hypothesis_settings(max_examples=60, deadline=None)


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from leaves(inner, (*path, key))
    else:
        yield path, value


def flat(text: str) -> dict[tuple[Any, ...], Any]:
    return {path: value for path, value in leaves(values(text)) if path}


def changed_leaves(base: str, text: str) -> dict[tuple[Any, ...], Any]:
    """Return what a side set, and what it removed."""
    was, now = flat(base), flat(text)
    put = {path: value for path, value in now.items() if not same(was.get(path, UNSET), value)}
    return put | {path: UNSET for path in was if path not in now}


@given(base=TEXTS, live=TEXTS)
@every_case
def test_law_what_the_installer_left_alone_leaves_the_file_alone(base: str, live: str) -> None:
    for staged in (base, yaml.dump(values(base))):
        merged = merge(base, live, staged)
        assert (merged.text, merged.changes, merged.conflicts) == (live, [], [])


@given(base=TEXTS, staged=TEXTS)
@every_case
def test_law_a_file_left_alone_gets_what_the_installer_set(base: str, staged: str) -> None:
    merged = merge(base, base, staged)
    assert same(values(merged.text), values(staged))
    assert merged.conflicts == []
    lost = [line for line in lines_of_comment(base) if line not in lines_of_comment(merged.text)]
    assert not [line for line in lost if line.startswith("# c")]


@given(base=TEXTS, both=TEXTS)
@every_case
def test_law_a_change_made_by_both_is_there_already(base: str, both: str) -> None:
    merged = merge(base, both, yaml.dump(values(both)))
    assert (merged.text, merged.changes, merged.conflicts) == (both, [], [])


@given(base=TEXTS, live=TEXTS, staged=TEXTS)
@every_case
def test_law_nobodys_change_is_lost(base: str, live: str, staged: str) -> None:
    merged = merge(base, live, staged)
    found = flat(merged.text)
    for path, value in changed_leaves(base, live).items():
        filled = value == {} and any(key[: len(path)] == path for key in found)
        assert same(found.get(path, UNSET), value) or filled
    if not merged.conflicts:
        for path, value in changed_leaves(base, staged).items():
            filled = value == {} and path not in found
            assert same(found.get(path, UNSET), value) or filled


@given(base=TEXTS, live=TEXTS, staged=TEXTS)
@every_case
def test_law_the_changes_are_those_of_the_text(base: str, live: str, staged: str) -> None:
    merged = merge(base, live, staged)
    assert bool(merged.changes) == (merged.text != live)
    was, now = flat(live), flat(merged.text)
    named = {each.name for each in merged.changes}
    for path in changed_leaves(live, merged.text):
        emptied = {} in (was.get(path), now.get(path))
        # Where a single value takes a section's place, the section is what has changed.
        above = {".".join(map(str, path[:length])) for length in range(1, len(path) + 1)}
        assert above & named or emptied


@given(base=TEXTS, live=TEXTS, staged=TEXTS)
@every_case
def test_law_a_second_time_changes_nothing(base: str, live: str, staged: str) -> None:
    once = merge(base, live, staged)
    for before in (base, staged):
        again = merge(before, once.text, staged)
        assert (again.text, again.changes) == (once.text, [])


# The file itself.

STAGED = "upgrade: {done: true}\n"
WRITER = """\
import fcntl, pathlib, sys
file = pathlib.Path(sys.argv[1])
with open(f"{file}.lock", "w") as lock:
    fcntl.flock(lock, fcntl.LOCK_EX)
    print("held", flush=True)
    sys.stdin.readline()
    file.write_text(file.read_text() + "base_url: /meanwhile\\n")
"""


def wait_for_a_waiter(hub: Hub) -> None:
    """Wait until somebody waits for the lock of config.yaml."""
    inode = f":{(hub.config / 'config.yaml.lock').stat().st_ino} "
    until = time.monotonic() + 30
    while time.monotonic() < until:
        with open("/proc/locks", encoding="ascii") as locks:  # noqa: PTH123
            if any("->" in line and inode in line for line in locks):
                return
    pytest.fail("nobody waits for the lock")


def test_only_what_differs_is_written(hub: Hub) -> None:
    before = config.text(hub)
    metadata = hub_folder.metadata(hub.config_file)
    assert merging.write(hub, before, before).changes == []
    assert hub_folder.metadata(hub.config_file) == metadata
    merged = merging.write(hub, before, before + STAGED)
    assert config.text(hub) == merged.text
    assert changed(before, merged.text) == ([], ["upgrade:", "  done: true"])
    assert hub_folder.metadata(hub.config_file)["st_mode"] == metadata["st_mode"]
    assert merging.write(hub, before, before + STAGED).changes == []


def test_a_file_that_is_not_there_is_made_for_root_alone(hub: Hub) -> None:
    hub.config_file.unlink()
    assert merging.write(hub, "", "").changes == []
    assert not hub.config_file.exists()
    merging.write(hub, "", STAGED)
    assert config.read(hub) == {"upgrade.done": True}
    assert hub.config_file.stat().st_mode & 0o777 == 0o600


def test_a_link_stays_a_link(hub: Hub) -> None:
    elsewhere = hub.root / "etc" / "hub.yaml"
    hub.config_file.rename(elsewhere)
    hub.config_file.symlink_to(os.path.relpath(elsewhere, hub.config))
    before = config.text(hub)
    merging.write(hub, before, before + STAGED)
    assert hub.config_file.is_symlink()
    assert "done: true" in elsewhere.read_text(encoding="utf-8")


@pytest.mark.parametrize("data", [b"a: \xff\n", b"a: [b\n"])
def test_a_broken_file_is_left_as_it_is(hub: Hub, data: bytes) -> None:
    hub.config_file.write_bytes(data)
    with pytest.raises(ConfigBroken, match="Nothing was changed"):
        merging.write(hub, "", STAGED)
    assert hub.config_file.read_bytes() == data


def test_who_writes_meanwhile_is_waited_for_and_kept(hub: Hub) -> None:
    before = config.text(hub)
    command = [sys.executable, "-c", WRITER, str(hub.config_file)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"held\n"
        merge_it = threading.Thread(target=merging.write, args=(hub, before, before + STAGED))
        merge_it.start()
        wait_for_a_waiter(hub)
        assert config.text(hub) == before
        writer.communicate(b"go on\n")
        merge_it.join()
    found = config.read(hub)
    assert (found["base_url"], found["upgrade.done"]) == ("/meanwhile", True)
    assert changed(before, config.text(hub))[0] == []
