"""The commands of the scheduled runs: what they print, and whom they tell that one failed."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import hub_folder
import pytest
from hub_fixtures import Cli
from restic_servers import needs

from tljh_runbook.errors import SnapshotMissing
from tljh_runbook.hub.core.layout import Hub
from tljh_runbook.hub.schedule import notice

PROGRAM = f"{sys.executable} -m tljh_runbook"
UNIT = "tljh-runbook-verify.service"
GOOD = {"at": "2026-01-15T22:10:00Z", "snapshot": "20260115T220000Z", "size": 7, "user_data": 9}
RECORD: dict[str, Any] = {
    "task": "verify",
    "at": "2026-01-15T22:00:00Z",
    "seconds": 12.5,
    "code": 19,
    "error": {
        "message": "The snapshot is damaged.",
        "hint": "Look: tljh-runbook snapshots",
        "code": 19,
    },
    "notes": [],
    "success": GOOD,
    "invocation": "the-one",
}


def enter(hub: Hub, **changes: object) -> None:
    file = hub.work / "scheduled" / "verify.json"
    hub_folder.keep(file, json.dumps(RECORD | changes), 0o600)


def test_a_run_says_in_a_line_what_was_done(hub: Hub, cli: Cli) -> None:
    needs("restic")
    done = cli("scheduled", "backup", "--hub", hub.prefix)
    assert done.returncode == 0, done.stderr
    (line,) = done.stdout.splitlines()
    assert line.startswith("Scheduled backup: snapshot 2")
    shown = cli("status", "--hub", hub.prefix).stdout
    assert "backup     not scheduled" in shown
    assert "ended well" in shown


def test_a_run_that_fails_ends_with_the_errors_code(hub: Hub, cli: Cli) -> None:
    done = cli("scheduled", "verify", "--hub", hub.prefix, "--json")
    assert done.returncode == SnapshotMissing.code
    assert json.loads(done.stdout)["error"]["code"] == SnapshotMissing.code
    said = cli("notice", UNIT, "--hub", hub.prefix)
    assert said.returncode == 0
    assert f"There is no snapshot in {hub.root}" in said.stdout
    status = json.loads(cli("status", "--hub", hub.prefix, "--json").stdout)["scheduled"]
    assert status["verify"]["last"]["code"] == SnapshotMissing.code
    assert status["backup"] == {"scheduled": False, "due": None, "running": False, "last": None}


def test_the_status_of_a_hub_without_a_schedule(hub: Hub, cli: Cli) -> None:
    shown = cli("status", "--hub", hub.prefix).stdout
    assert shown.endswith("\nNo backup is scheduled: a sandbox has no timers.\n")


@pytest.mark.parametrize(
    "unit",
    ["ssh.service", "tljh-runbook-backup.timer", "../x", "", "tljh-runbook-notice@x.service"],
)
def test_only_units_that_are_ours_are_told_of(hub: Hub, cli: Cli, unit: str) -> None:
    done = cli("notice", unit, "--hub", hub.prefix)
    assert (done.returncode, done.stdout) == (2, "")


def test_a_notice_says_what_failed_and_what_to_type(hub: Hub, cli: Cli) -> None:
    enter(hub)
    for unit in (UNIT, UNIT.removesuffix(".service")):
        lines = cli("notice", unit, "--hub", hub.prefix).stdout.splitlines()
        assert lines[0].startswith(f"The scheduled verify of {hub.prefix} on ")
        assert lines[1:] == [
            "At 2026-01-15T22:00:00Z: The snapshot is damaged.",
            "What to do: Look:",
            f"  {PROGRAM} snapshots --hub {hub.prefix}",
            "The last good one was at 2026-01-15T22:10:00Z: 20260115T220000Z.",
            "What it wrote: journalctl -u tljh-runbook-verify.service -n 100",
        ]


def test_a_notice_of_a_run_that_was_cut_off(hub: Hub, cli: Cli) -> None:
    enter(hub, code=None, error=None, seconds=None, success=None)
    assert "was cut off before its end" in cli("notice", UNIT, "--hub", hub.prefix).stdout


@pytest.mark.parametrize("failed", ["another", "the-one"])
def test_a_notice_does_not_tell_of_an_older_run(
    hub: Hub, cli: Cli, monkeypatch: pytest.MonkeyPatch, failed: str
) -> None:
    enter(hub)
    monkeypatch.setenv("MONITOR_INVOCATION_ID", failed)
    said = cli("notice", UNIT, "--hub", hub.prefix).stdout
    assert ("before it could say why" in said) == (failed == "another")
    assert ("is damaged" in said) == (failed == "the-one")


def test_a_notice_of_a_good_record_tells_nothing_of_it(hub: Hub, cli: Cli) -> None:
    enter(hub, code=0, error=None)
    assert "before it could say why" in cli("notice", UNIT, "--hub", hub.prefix).stdout


def test_a_notice_needs_neither_a_hub_nor_settings(hub: Hub, cli: Cli, tmp_path: Path) -> None:
    hub_folder.keep(hub.settings_file, "[broken", 0o644)
    for prefix in (hub.prefix, tmp_path / "nothing"):
        done = cli("notice", UNIT, "--hub", prefix)
        assert done.returncode == 0, done.stderr
        assert "before it could say why" in done.stdout


def test_the_journal_gets_every_line_as_an_error(hub: Hub, tmp_path: Path) -> None:
    enter(hub)
    command = [sys.executable, "-m", "tljh_runbook", "notice", UNIT, "--hub", str(hub.prefix)]
    with (tmp_path / "journal").open("w+") as journal:
        status = (tmp_path / "journal").stat()
        program = ["env", f"JOURNAL_STREAM={status.st_dev}:{status.st_ino}", *command]
        subprocess.run(program, stdout=journal, check=True)
        journal.seek(0)
        assert all(line.startswith("<3>") for line in journal)
    named = [program[0], "JOURNAL_STREAM=1:2", *command]
    assert "<3>" not in subprocess.run(named, capture_output=True, text=True, check=True).stdout


Sendmail = Callable[[int], Path]


@pytest.fixture
def sendmail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sendmail:
    """A fake of the program, which ends as asked; the folder of what it was given."""

    def make(code: int) -> Path:
        program = f"""#!/bin/sh
echo "$@" >{tmp_path}/words
cat >{tmp_path}/mail
exit {code}
"""
        hub_folder.keep(tmp_path / "sbin" / "sendmail", program, 0o755)
        monkeypatch.setattr(notice, "PLACES", str(tmp_path / "sbin"))
        return tmp_path

    return make


def test_a_mail_is_sent(sendmail: Sendmail) -> None:
    folder = sendmail(0)
    assert notice.mail("root", ["It failed", "Été"]) == ""
    assert (folder / "words").read_text() == "-i -- root\n"
    mail = message_from_bytes((folder / "mail").read_bytes(), policy=policy.default)
    assert isinstance(mail, EmailMessage)
    assert (mail["To"], mail["Subject"]) == ("root", "tljh-runbook: It failed")
    assert mail.get_content() == "It failed\nÉté\n"


def test_files_go_with_a_mail(sendmail: Sendmail) -> None:
    folder = sendmail(0)
    files = {"upgrade.html": b"<p>Upgraded</p>", "hub.log": "Été \udcff".encode(errors="replace")}
    assert notice.mail("root", ["Upgraded"], files) == ""
    mail = message_from_bytes((folder / "mail").read_bytes(), policy=policy.default)
    assert isinstance(mail, EmailMessage)
    found = {part.get_filename(): part.get_content_type() for part in mail.iter_attachments()}
    assert found == {"upgrade.html": "text/html", "hub.log": "text/plain"}


def test_a_mail_that_cannot_be_sent_is_told(sendmail: Sendmail) -> None:
    sendmail(75)
    assert notice.mail("root", ["It failed"]) == "No mail was sent: sendmail ended with 75."


def test_nobody_gets_a_mail_where_none_is_named_or_none_can_be_sent(
    sendmail: Sendmail, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder = sendmail(0)
    assert notice.mail("", ["It failed"]) == ""
    monkeypatch.setattr(notice, "PLACES", str(tmp_path / "nowhere"))
    assert notice.mail("root", ["It failed"]) == ""
    assert not (folder / "words").exists()


def test_a_hub_with_a_strange_name_makes_no_header_of_its_own(sendmail: Sendmail) -> None:
    folder = sendmail(0)
    told = notice.lines(Hub(Path("/srv/x\nBcc: eve@example.org")), "verify")
    assert notice.mail("root", told) == ""
    mail = message_from_bytes((folder / "mail").read_bytes(), policy=policy.default)
    assert mail["Bcc"] is None
