"""A plugin is asked for by a version or by a commit, never by less."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tljh_runbook.hub.requirements import Requirement, canonical

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def test_a_version_pins() -> None:
    found = Requirement.parse(" TLJH_Repo2docker == 3.0.15 ")
    assert (found.name, found.version, found.commit) == ("tljh-repo2docker", "3.0.15", None)
    assert found.wanted == "3.0.15"


@pytest.mark.parametrize("end", ["", "#subdirectory=tljh-plasma", "#egg=x&subdirectory=a/b"])
def test_a_full_commit_pins(end: str) -> None:
    text = f"tljh-plasma @ git+https://github.com/plasmabio/plasma@{COMMIT}{end}"
    found = Requirement.parse(text)
    assert (found.name, found.version, found.commit) == ("tljh-plasma", None, COMMIT)
    assert found.text == text
    assert found.wanted == COMMIT


@pytest.mark.parametrize(
    "text",
    [
        "",
        "tljh-plasma",
        "tljh-plasma>=1",
        "tljh-plasma==1.*",
        "tljh-plasma==1,<2",
        "tljh-plasma @ git+https://h/p",
        "tljh-plasma @ git+https://h/p@main",
        f"tljh-plasma @ git+https://h/p@{COMMIT[:12]}",
        f"tljh-plasma @ git+https://h/p@{COMMIT.upper()}",
        f"tljh-plasma @ https://h/p@{COMMIT}",
        "--index-url=http://h x==1",
        "./plugin",
    ],
)
def test_what_pins_nothing_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not pinned"):
        Requirement.parse(text)


@given(st.text(max_size=40))
def test_no_text_gives_a_requirement_that_is_not_pinned(text: str) -> None:
    try:
        found = Requirement.parse(text)
    except ValueError:
        return
    assert found.wanted


def test_names_are_compared_as_pip_does() -> None:
    assert {canonical(name) for name in ("A-b", "a_B", "a.b", "a-_.b")} == {"a-b"}


@pytest.mark.parametrize("user", ["me:secret@", "token@"])
def test_a_secret_in_the_address_is_refused(user: str) -> None:
    with pytest.raises(ValueError, match="git's own credentials") as told:
        Requirement.parse(f"p @ git+https://{user}example.org/p@{'a' * 40}")
    assert "secret" not in str(told.value)
