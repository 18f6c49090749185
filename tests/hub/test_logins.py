"""Who may log in: what is made of an authenticator's answers, and what of one that gives none."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import hub_folder
import pytest
from hub_fixtures import Live
from hypothesis import given
from hypothesis import strategies as st

from tljh_runbook.hub.context import Source
from tljh_runbook.hub.system import child
from tljh_runbook.hub.upgrade import logins
from tljh_runbook.hub.upgrade.guarantees.logins import GUARANTEE
from tljh_runbook.hub.upgrade.logins import Answers, asking, remedy
from tljh_runbook.hub.upgrade.logins.requirement import Compared

BEFORE = Answers("Campus", (), stranger=True, users={"alice": True, "bob": True, "eve": False})
LOCKED = replace(BEFORE, stranger=False, users=dict.fromkeys(BEFORE.users, False))
HOSTILE = ["new\nline", "\x1b[2J", "jürgen", "-rf", '", "answer": true', "é\u2028x"]


def printed(*told: object) -> str:
    return "".join(json.dumps(each) + "\n" for each in told)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_is_never_more_than_a_name(name: str) -> None:
    text = printed({"authenticator": "A"}, {"name": name, "answer": False})
    found = logins.parse(text)
    assert (found.users, found.failed) == ({name: False}, "")
    assert logins.named([name]).isprintable()


@given(st.text())
def test_whatever_is_printed_lets_nobody_in(text: str) -> None:
    assert logins.parse(text).allowed == []


def test_answers_before_one_that_never_came_count() -> None:
    whole = printed({"authenticator": "A"}, {"name": "alice", "answer": True})
    found = logins.parse(f'{whole}{{"name": "bob", "ans')
    assert found.users == {"alice": True}


def test_an_error_is_told() -> None:
    assert logins.parse(printed({"error": "KeyError: x"})).failed == "KeyError: x"
    assert logins.parse("").failed == "it ended without an answer"


def test_only_those_who_could_before_are_locked_out() -> None:
    assert logins.locked_out(BEFORE, LOCKED) == ["alice", "bob"]
    unknown = replace(LOCKED, users=dict.fromkeys(BEFORE.users))
    assert logins.locked_out(BEFORE, unknown) == []
    assert logins.let_in(LOCKED, BEFORE) == ["alice", "bob"]
    assert logins.opens(LOCKED, BEFORE)
    assert not logins.opens(BEFORE, LOCKED)


def test_a_few_of_many_are_named() -> None:
    assert logins.named(f"u{n}" for n in range(25)).endswith("u19, and 5 more")


def test_a_remedy_lets_in_those_who_could_and_nobody_else() -> None:
    assert remedy.preserves(BEFORE, BEFORE)
    assert not remedy.preserves(BEFORE, LOCKED)
    assert not remedy.preserves(BEFORE, replace(BEFORE, users={**BEFORE.users, "eve": True}))
    closed = replace(BEFORE, stranger=False)
    assert remedy.preserves(closed, closed)
    assert not remedy.preserves(closed, BEFORE)
    assert not remedy.preserves(closed, replace(closed, stranger=None))
    assert not remedy.preserves(BEFORE, replace(BEFORE, failed="no answer"))


def typed(source: Source, before: Answers, after: Answers) -> list[str]:
    return [
        command for each in remedy.candidates(source, before, after) for command in each.commands
    ]


def test_whoever_lets_everyone_in_keeps_on_letting_everyone_in(source: Source) -> None:
    assert typed(source, BEFORE, LOCKED)[0] == "sudo tljh-config set auth.Campus.allow_all true"


def test_whoever_lets_only_known_users_in_lets_nobody_else_in(source: Source) -> None:
    commands = typed(source, replace(BEFORE, stranger=False), LOCKED)
    assert commands[0] == "sudo tljh-config set auth.Campus.allow_existing_users true"
    assert "sudo tljh-config add-item users.allowed alice" in commands
    assert not any("allow_all" in each for each in commands)


def test_what_tljh_config_cannot_take_is_a_file(source: Source) -> None:
    names = dict.fromkeys(HOSTILE, True)
    before = Answers("_Own", stranger=False, users=dict(names))
    after = Answers("_Own", stranger=False, users=dict.fromkeys(names, False))
    found = list(remedy.candidates(source, before, after))
    assert all(each.commands[0].startswith("sudo cp ") for each in found)
    values: dict[str, object] = {}

    class Configuration:
        class _Own:
            allowed_users: set[str]
            allow_existing_users: bool

    exec(found[-1].snippet, {"c": Configuration}, values)  # noqa: S102 - it is ours
    assert set(HOSTILE) == Configuration._Own.allowed_users
    assert Configuration._Own.allow_existing_users is False


ALLOW = "sudo tljh-config set auth.Campus.allow_all true"
OPEN = Answers("Campus", (), stranger=True, users={"alice": True, "eve": False})


@pytest.mark.parametrize(
    ("today", "banned", "commands"),
    [
        (replace(OPEN, users={"alice": True}), "[]", (ALLOW,)),
        (OPEN, "[]", ()),  # who knows why eve cannot log in
        (OPEN, "[eve]", (ALLOW,)),
        (replace(OPEN, stranger=False), "[eve]", ()),
        (replace(OPEN, stranger=None), "[eve]", ()),
        (replace(OPEN, authenticator="_Own"), "[eve]", ()),
        (Answers(failed="no answer"), "[]", ()),
    ],
    ids=["open", "refused", "banned", "closed", "not known", "no name to set", "failed"],
)
def test_a_check_prints_the_command_only_where_it_cannot_be_wider(
    source: Source, today: Answers, banned: str, commands: tuple[str, ...]
) -> None:
    source.hub.config_file.write_text(f"users: {{banned: {banned}}}\n")
    assert remedy.foreseen(source, today) == commands


def pretend(live: Live, text: str) -> None:
    """Put another JupyterHub in the hub's environment."""
    (package,) = live.hub.environment.glob("lib/python3*/site-packages/jupyterhub")
    hub_folder.keep(package / "__init__.py", "", 0o644)
    hub_folder.keep(package / "app.py", text, 0o644)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("import time\ntime.sleep(1000)", "did not answer within 1 s"),
        ("import os\nwhile True: os.write(2, b'x' * 1000)", "did not answer within 1 s"),
        ("raise RuntimeError('no such class')", "RuntimeError: no such class"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("import os\nos._exit(3)", "it ended without an answer"),
    ],
    ids=["hangs", "floods", "raises", "exits", "dies"],
)
def test_a_hub_that_gives_no_answer_is_not_known_in_time(
    live: Live, monkeypatch: pytest.MonkeyPatch, text: str, says: str
) -> None:
    pretend(live, text)
    if "1 s" in says:
        monkeypatch.setattr(child, "DEADLINE", 1)
    before = sorted(live.hub.prefix.rglob("*"))
    found = asking.live(live.source)
    if "mount" in found.failed:
        pytest.skip(found.failed)
    assert says in found.failed
    assert sorted(live.hub.prefix.rglob("*")) == before
    assert not list(live.hub.work.glob("view-*"))
    verdict = GUARANTEE.judge(found.to_json(), found.to_json())
    assert verdict == (None, found.failed)


# What a JupyterHub has of what the questions use; its authenticator dies at the second user.
DYING = """
import os, sqlite3

class Authenticator:
    allow_all = True
    def traits(self):
        return {}
    def add_user(self, user):
        pass
    async def get_authenticated_user(self, handler, data):
        if data["username"] == "bob":
            os._exit(3)
        return data

class JupyterHub:
    authenticator = Authenticator()
    def load_config_file(self, path):
        pass
    def init_db(self):
        rows = sqlite3.connect(self.db_url[10:]).execute("SELECT name, admin FROM users ORDER BY 1")
        self.rows = rows.fetchall()
    async def init_users(self):
        pass
    @property
    def db(self):
        return self
    def query(self, _):
        return self
    def order_by(self, _):
        return [type("User", (), {"name": name, "admin": admin}) for name, admin in self.rows]
"""
ORM = "class User:\n    id = 0\n"
AUTH = """
from jupyterhub.app import Authenticator

LocalAuthenticator = PAMAuthenticator = int
"""


def test_whoever_is_not_reached_is_not_known(live: Live) -> None:
    pretend(live, DYING)
    (package,) = live.hub.environment.glob("lib/python3*/site-packages/jupyterhub")
    hub_folder.keep(package / "orm.py", ORM, 0o644)
    hub_folder.keep(package / "auth.py", AUTH, 0o644)
    found = asking.live(live.source)
    if "mount" in found.failed:
        pytest.skip(found.failed)
    assert found.users == {"alice": True, "bob": None, "carol": None}, found
    assert found.why == "2 were not asked about: the answers ended"
    named = "not known of 2 users (bob, carol), because 2 were not asked about"
    (warning,) = Compared(found, found).warnings
    assert named in warning
    assert Compared(found, found).to_json()["not_known_users"] == ["bob", "carol"]
    word, told = GUARANTEE.judge(found.to_json(), found.to_json())
    assert (word, told.partition(":")[0]) == (
        True,
        "1 of 3 users can, not known of 2 (bob, carol)",
    )


def test_the_guarantee_is_broken_by_whoever_is_locked_out() -> None:
    assert GUARANTEE.judge(BEFORE.to_json(), BEFORE.to_json()) == (True, "2 of 3 users can")
    told = (False, "2 users cannot log in any more: alice, bob")
    assert GUARANTEE.judge(BEFORE.to_json(), LOCKED.to_json()) == told
    gone = replace(BEFORE, users={"alice": True})
    assert GUARANTEE.judge(BEFORE.to_json(), gone.to_json()) == (True, "1 of 1 users can")


def test_what_is_kept_of_answers_is_read_as_it_was(tmp_path: Path) -> None:
    assert Answers.of(json.loads(json.dumps(BEFORE.to_json()))) == BEFORE
