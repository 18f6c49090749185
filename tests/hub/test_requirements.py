"""A plugin is asked for by a version or by a commit, never by less."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tljh_runbook.hub.core.settings.requirements import Requirement, canonical

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
    assert found.wanted == COMMIT[:12]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "tljh-plasma",
        "tljh-plasma>=1",
        "tljh-plasma==1.*",
        "tljh-plasma==1,<2",
        "tljh-plasma @ git+https://h/p",
        f"tljh-plasma @ git+https://h/p@{COMMIT[:12]}",
        f"tljh-plasma @ git+https://h/p@{COMMIT.upper()}",
        f"tljh-plasma @ https://h/p@{COMMIT}",
        "tljh-plasma @ git+https://h/p@--upload-pack=x",
        "tljh-plasma @ git+https://h/p@a..b",
        "tljh-plasma==3.x",
        "--index-url=http://h x==1",
        "./plugin",
    ],
)
def test_what_names_no_version_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="names no version"):
        Requirement.parse(text)


@pytest.mark.parametrize("ref", ["main", "feature/x-1", "v0.7", "newest"])
@pytest.mark.parametrize("address", ["git+https://h/p@", ""])
def test_a_branch_a_tag_or_the_newest_may_be_named(ref: str, address: str) -> None:
    found = Requirement.parse(f"tljh-plasma @ {address}{ref}#subdirectory=x")
    assert (found.ref, found.commit, found.fragment) == (ref, None, "#subdirectory=x")
    assert found.address == ("https://h/p" if address else None)
    assert found.wanted == (ref if ref == "newest" else f"@{ref}")


@pytest.mark.parametrize(
    ("text", "version", "ref", "wanted"),
    [
        ("2.0.0", "2.0.0", None, "2.0.0"),
        ("2.0.0b1", "2.0.0b1", None, "2.0.0b1"),
        (COMMIT, None, COMMIT, COMMIT[:12]),
        ("@main", None, "main", "@main"),
        ("newest", "newest", None, "newest"),
    ],
)
def test_tljh_is_a_release_a_commit_a_branch_or_the_newest(
    text: str, version: str | None, ref: str | None, wanted: str
) -> None:
    found = Requirement.of_tljh(text)
    assert (found.version, found.ref, found.wanted) == (version, ref, wanted)


@pytest.mark.parametrize("text", ["", "main", "latest", "2", "@", "@-x", "@a..b", COMMIT[:12]])
def test_another_tljh_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="neither a release"):
        Requirement.of_tljh(text)


@given(st.text(max_size=40))
def test_no_text_gives_a_requirement_without_a_version(text: str) -> None:
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
