"""What a playbook shows and writes down, when it is typed in the checkout."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pexpect  # type: ignore[import-untyped]
import pytest
from road import OURS, REPOSITORY, Road

from tljh_runbook import errors
from tljh_runbook.guide.road import failures, outcome
from tljh_runbook.guide.road.failures import Server
from tljh_runbook.guide.road.log import KEPT, Log

SECRET = "s3cret-of-the-playbook"  # noqa: S105 - it must not be found
INVENTORY = "one ansible_connection=local ansible_python_interpreter=/usr/bin/python3\n"
PLAYBOOK = f"""\
- name: Try
  hosts: all
  gather_facts: false
  tasks:
    - name: Change something
      ansible.builtin.copy:
        content: new
        dest: "{{{{ playbook_dir }}}}/changed"
        mode: "0600"
    - name: Change nothing
      ansible.builtin.debug:
        msg: [one word, another]
    - name: Keep it to yourself
      ansible.builtin.command:
        argv: [echo, {SECRET}]
      no_log: true
    - name: Fail with it
      ansible.builtin.command:
        argv: [sh, -c, "echo {SECRET} >&2; exit 7"]
      no_log: true
      when: fails is defined
"""


@pytest.fixture
def typed(checkout: Path) -> Road:
    (checkout / "hosts").write_text(INVENTORY, encoding="utf-8")
    (checkout / "try.yml").write_text(PLAYBOOK, encoding="utf-8")
    return Road(checkout, checkout, 0)


def test_what_changed_is_shown_and_all_is_logged(typed: Road) -> None:
    done = typed.type("ansible-playbook", "-i", "hosts", "try.yml", "--diff")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0] == "Playbook: Try"
    assert [bool(re.match(r"one: Change something \(\d", line)) for line in lines].count(True) == 1
    assert "one: +new" in lines
    assert "one: changed=2" in lines
    assert not any("Change nothing" in line for line in lines)
    assert [line for line in lines if "word" in line or "another" in line] == [
        "one: one word",
        "one: another",
    ]
    (log,) = typed.checkout.glob("logs/*-try.log")
    written = log.read_text(encoding="utf-8")
    assert "one ok [Change nothing]" in written
    assert SECRET not in written + done.stdout


def test_failure_names_the_log_and_no_secret(typed: Road) -> None:
    done = typed.type("ansible-playbook", "-i", "hosts", "-e", "fails=1", "try.yml")
    assert done.returncode == failures.FAILED
    assert "one: Fail with it: failed" in done.stdout.splitlines()
    (log,) = typed.checkout.glob("logs/*-try.log")
    assert done.stdout.splitlines()[-1] == f"The full log: logs/{log.name}"
    assert done.stderr.startswith("one: failed: ")
    assert SECRET not in log.read_text(encoding="utf-8") + done.stdout + done.stderr


@pytest.mark.parametrize("plain", [True, False])
def test_terminal_tells_what_is_being_done(typed: Road, plain: bool) -> None:
    """In place, with the seconds; NO_COLOR takes the colours away and leaves that."""
    environment = typed.environment | {"TERM": "xterm"} | ({"NO_COLOR": "1"} if plain else {})
    environment = {k: v for k, v in environment.items() if plain or k != "NO_COLOR"}
    words = ["-i", "hosts", "-e", "fails=1", "try.yml"]
    terminal = pexpect.spawn(
        str(OURS / "ansible-playbook"),
        words,
        cwd=str(typed.checkout),
        env=environment,
        encoding="utf-8",
        timeout=120,
        dimensions=(24, 200),
    )
    terminal.expect(re.escape("\r\x1b[Kone: Change something … ") + r"\d+ s")
    terminal.expect("The full log: ")
    seen = terminal.before or ""
    terminal.expect(pexpect.EOF)
    assert ("\x1b[31m" in seen) is not plain


def test_checkout_that_nobody_may_write_to_has_no_log(tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("not a folder", encoding="utf-8")
    log = Log(tmp_path, "try")
    log.write("It goes on.")
    assert (log.name, bool(log.failure)) == ("", True)


def test_only_the_newest_logs_are_kept(tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    for number in range(KEPT + 5):
        (folder / f"20260101T0000{number:02}Z-try.log").touch()
    (folder / "mine.log").touch()
    log = Log(tmp_path, "try")
    left = sorted(file.name for file in folder.iterdir())
    assert len(left) == KEPT + 1
    assert "mine.log" in left
    assert log.name.removeprefix("logs/") in left


def test_log_is_never_written_through_a_link(tmp_path: Path) -> None:
    """And two that begin in one second have two files."""
    names = {Log(tmp_path, "try").name for _ in range(3)}
    assert len(names) == 3
    assert all((tmp_path / name).stat().st_mode & 0o777 == 0o600 for name in names)


SERVER = Server(local=False, address="a", entry="a", ssh="ssh a", inventory="hosts")
SAID = {
    "sudo: a password is required": "may not use sudo without a password",
    "Missing sudo password": "may not use sudo without a password",
    "ada is not in the sudoers file.": "may not use sudo.",
    "/bin/sh: 1: sudo: not found": "There is no sudo on the server.",
    "mkdir: cannot create directory: No space left on device": "no room left on a disk",
}


@pytest.mark.parametrize("said", SAID)
def test_what_others_say_is_understood(said: str) -> None:
    """Of whatever part of a result it comes in."""
    for part in ("msg", "module_stderr", "module_stdout"):
        failure = failures.failed({"msg": "Task failed.", part: said}, SERVER)
        assert SAID[said] in failure.message
        assert failure.hint


def test_what_the_tool_says_comes_first() -> None:
    """An error of the hub that mentions a full disk is still the hub's own."""
    said = "error: No space left on device, says the hub.\nhint: Free some."
    failure = failures.failed({"stderr": said, "rc": 16, "msg": "non-zero"}, SERVER)
    assert failure.message == "No space left on device, says the hub."
    assert (failure.hint, failure.code) == ("on the server: Free some.", 16)


def test_run_without_an_end_was_cut_off() -> None:
    stands = '{"task": "backup", "running": false, "end": null, "events": [{"kind": "phase"}]}'
    assert "cut off" in failures.failed({"stdout": stands}, SERVER).message


def test_upgrade_that_was_cut_off_and_rolled_back_did_not_end_well() -> None:
    end = '{"kind": "end", "code": 0, "error": null, "report": {"why": "It was cut off."}}'
    stands = f'{{"task": "TASK", "running": false, "end": {end}, "events": [{{"kind": "phase"}}]}}'
    failure = failures.failed({"stdout": stands.replace("TASK", "upgrade")}, SERVER)
    assert failure.message.endswith("the hub runs as before. It was cut off.")
    assert failure.code == errors.UpgradeRolledBack.code
    assert not failures.rolled_back({"task": "rollback", "end": {"report": {"why": "Asked."}}})


REHEARSED = {
    "changed": False,
    "would_change": True,
    "packages": [["hub", "jupyterhub", "4.1.6", "5.5.4"]],
    "settings": [["limits.memory", "unset", "2G"]],
    "files": {"/etc/systemd/system/jupyterhub.service": "+new"},
    "databases": [{"name": "jupyterhub", "revisions": ["4621", "f460"], "rows": {}}],
    "tokens_revoked": 2,
    "complaints": [],
    "proxy_restarts": False,
    "proxy_versions": ["2.10.1", "3.1.4"],
    "away": {"hub": 7.04, "servers": 0.0, "seen": "20260115T220000Z"},
}
AS_ASKED = {"changed": False, "would_change": False}
WENT_BACK = {
    "changed": True,
    "changes": [["TLJH", "2.0.0", "1.0.0"]],
    "outages": [{"name": "hub", "away": 6.54}],
}
TOLD: list[tuple[str, dict[str, Any], list[str]]] = [
    (
        "rehearse",
        REHEARSED,
        [
            "jupyterhub in hub: 4.1.6, then 5.5.4",
            "setting limits.memory: unset, then 2G",
            "changes: /etc/systemd/system/jupyterhub.service",
            "database jupyterhub: migrates",
            "tokens revoked: 2",
            "the proxy keeps running, 2.10.1 → 3.1.4",
            "the hub away: about 7.0 s",
            "nothing was changed: this was a rehearsal",
        ],
    ),
    ("rehearse", AS_ASKED, ["everything is as asked; an upgrade would change nothing"]),
    ("rollback", WENT_BACK, ["TLJH: 2.0.0, now 1.0.0 again", "hub away: 6.5 s"]),
    ("upgrade", {"changed": False}, [outcome.NOTHING]),
    ("upgrade", WENT_BACK, []),
    ("backup", {"changed": True, "path": "/there"}, ["sealed and read back: /there"]),
    ("restore", {"changed": True, "replaced": ["/a"]}, ["what was replaced is in /a"]),
    ("restore", {"changed": False}, [outcome.NOTHING]),
    (
        "restore",
        {
            "changed": True,
            "restarted": True,
            "changes": [{"what": "/a", "before": "missing", "after": "as saved"}],
            "servers": {"alice": True, "bob": False},
        },
        [
            "/a: missing, then as saved",
            "the hub is healthy",
            "the server of alice keeps running",
            "the server of bob is not known any more",
        ],
    ),
    (
        "rollback",
        {**WENT_BACK, "verdicts": [{"guarantee": "users", "word": "kept", "measured": "3 users"}]},
        ["TLJH: 2.0.0, now 1.0.0 again", "users: kept, 3 users", "hub away: 6.5 s"],
    ),
]


@pytest.mark.parametrize(("task", "report", "lines"), TOLD)
def test_what_a_run_has_done_is_told(task: str, report: dict[str, Any], lines: list[str]) -> None:
    end = {"kind": "end", "code": 0, "report": report}
    assert outcome.told(task, end) == lines
    assert outcome.told(task, {**end, "code": 18}) == []


def test_page_has_every_text_that_is_between_here_and_a_server() -> None:
    from tljh_runbook.reference import symptoms

    kinds = {"InventoryInvalid", "ServerUnreachable", "ServerUnfit"}
    texts = [str(each.message) for each in symptoms.every() if each.kind in kinds]
    page = (REPOSITORY / "docs/how-to/troubleshooting.md").read_text(encoding="utf-8")
    assert [text for text in texts if f"*{text}*\n: " not in page] == []
    assert len(texts) > 10
