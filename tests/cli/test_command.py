"""The real command in a process of its own: what it prints, and how it leaves."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click
import hub_folder
import pexpect  # type: ignore[import-untyped]
import pytest
from click.testing import CliRunner
from hub_fixtures import Cli, Live, until

from tljh_runbook import errors
from tljh_runbook.cli.options import INTERRUPTED, on_hub
from tljh_runbook.hub.backup import capture, components
from tljh_runbook.hub.context import Source
from tljh_runbook.hub.core.layout import Hub
from tljh_runbook.hub.runs import journal, lock
from tljh_runbook.hub.snapshots import snapshot
from tljh_runbook.hub.system import services
from tljh_runbook.hub.upgrade import state_file

COMMANDS = [
    "acknowledge",
    "backup",
    "check",
    "completion",
    "confirm",
    "notice",
    "password",
    "progress",
    "prove",
    "prune",
    "rehearse",
    "restore",
    "resume",
    "rollback",
    "scheduled",
    "security",
    "snapshots",
    "status",
    "unpack",
    "upgrade",
    "verify",
]


def stop_manager(hub: Hub) -> None:
    (hub.root / "etc" / "supervisor" / "supervisord.conf").unlink()


def unknown_setting(hub: Hub) -> None:
    hub_folder.keep(hub.settings_file, "servces: systemd\n", 0o644)


def broken_config(hub: Hub) -> None:
    hub.config_file.write_text("[broken")


def no_state(hub: Hub) -> None:
    hub.state.rename(hub.root / "aside")


def no_database(hub: Hub) -> None:
    (hub.state / "jupyterhub.sqlite").unlink()


def damaged_database(hub: Hub) -> None:
    database = hub.state / "jupyterhub.sqlite"
    hub_folder.script(database, "CREATE INDEX i ON users (cookie_id)")
    data = database.read_bytes()
    size = hub_folder.ask(database, "PRAGMA page_size")[0][0]
    assert isinstance(size, int)
    database.write_bytes(data[:-size] + b"\xaa" * size)


def damaged_snapshot(hub: Hub) -> None:
    (hub.root / "var/backups/tljh/20260115T220000Z").mkdir(parents=True)


def nothing(hub: Hub) -> None:
    """All is as it is."""


CUT_OFF = """\
import os, signal, sys
from tljh_runbook.cli import main
from tljh_runbook.hub.backup import capture
capture.snapshot.verify = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
main(["backup", "config", "--hub", sys.argv[1]])
"""
Provoke = Callable[[Hub], None]
PROVOKED: list[tuple[type[errors.RunbookError], list[str], Provoke]] = [
    (errors.NoHub, ["status"], no_state),
    (errors.ConfigBroken, ["upgrade"], broken_config),
    (errors.SettingsInvalid, ["snapshots"], unknown_setting),
    (errors.DatabaseMissing, ["backup"], no_database),
    (errors.DatabaseDamaged, ["backup"], damaged_database),
    (errors.SnapshotMissing, ["verify"], nothing),
    (errors.SnapshotMissing, ["verify", "20200101T000000Z"], nothing),
    (errors.SnapshotDamaged, ["verify"], damaged_snapshot),
    (errors.ServicesUnreachable, ["status"], stop_manager),
    (errors.StepUnknown, ["backup", "databse"], nothing),
    (errors.HubUnhealthy, ["upgrade"], nothing),
    (errors.NothingToRollBack, ["rollback", "--yes"], nothing),
]
IDS = [f"{error.__name__}-{' '.join(words)}" for error, words, _ in PROVOKED]


@pytest.mark.parametrize(("error", "words", "provoke"), PROVOKED, ids=IDS)
def test_each_error_has_its_message_its_hint_and_its_exit_code(
    hub: Hub, cli: Cli, error: type[errors.RunbookError], words: list[str], provoke: Provoke
) -> None:
    provoke(hub)
    before = hub_folder.contents(hub.prefix)
    done = cli(*words, "--hub", hub.prefix, "--json")
    assert done.returncode == error.code, done.stderr
    assert done.stderr.startswith("error: ")
    assert "\nhint: " in done.stderr
    assert "Traceback" not in done.stderr
    told = json.loads(done.stdout)["error"]
    assert (told["code"], bool(told["hint"])) == (error.code, True)
    assert told["message"] in done.stderr
    assert hub_folder.contents(hub.prefix) == before


def test_every_error_has_an_exit_code_of_its_own() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    codes = [kind.code for kind in kinds if issubclass(kind, errors.RunbookError)]
    assert len(codes) == len(set(codes))
    assert not set(codes) & {0, 2, 130, 143}


def test_a_run_beside_another_is_told_to_wait(hub: Hub, cli: Cli) -> None:
    with lock.hold(hub, "a test"):
        done = cli("backup", "--hub", hub.prefix)
    assert done.returncode == errors.Busy.code
    assert not (hub.root / "var" / "backups" / "tljh").is_dir() or not any(
        (hub.root / "var" / "backups" / "tljh").iterdir()
    )


def test_who_may_not_read_the_hub_is_told_so(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can become somebody else")
    root = Path("/tmp") / f"runbook-{os.getpid()}"
    try:
        hub = hub_folder.build(root)
        program = "import sys; from tljh_runbook.cli import main; main()"
        drop = "import os; os.setgroups([]); os.setgid(65534); os.setuid(65534); " + program
        # What is imported lazily could not be read any more by then.
        early = "import tljh_runbook.cli.status, rich.console, rich.markup, rich.text, rich.table; "
        done = subprocess.run(
            [sys.executable, "-c", early + drop, "status", "--hub", str(hub.prefix)],
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        shutil.rmtree(root)
    assert (done.returncode, done.stderr[:7]) == (errors.AccessDenied.code, "error: ")
    assert "sudo" in done.stderr


@pytest.mark.parametrize("prefix", ["", "empty", "file", "missing", "new\nline", "x" * 300])
def test_a_prefix_without_a_hub_is_told(tmp_path: Path, cli: Cli, prefix: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("")
    done = cli("status", "--hub", prefix, cwd=tmp_path)
    assert done.returncode == errors.NoHub.code
    assert re.fullmatch(r"error: There is no TLJH hub at .*\nhint: .*\n", done.stderr)


@pytest.mark.parametrize("words", [["backup", "--backups"], ["snapshots", "--settings"]])
def test_a_file_in_the_place_of_a_folder_is_told(hub: Hub, cli: Cli, words: list[str]) -> None:
    file = hub.root / "file"
    file.write_text("just words")
    done = cli(*words, file, "--hub", hub.prefix)
    assert done.returncode == errors.SettingsInvalid.code
    assert "Traceback" not in done.stderr


def test_the_command_line_comes_before_the_settings_file(
    hub: Hub, cli: Cli, tmp_path: Path
) -> None:
    with hub.settings_file.open("a") as file:
        file.write("backups: /kept/by/settings\n")
    assert cli("backup", "--hub", hub.prefix).returncode == 0
    assert len(list((hub.root / "kept/by/settings").iterdir())) == 1
    there = tmp_path / "there"
    assert cli("backup", "config", "--hub", hub.prefix, "--backups", there).returncode == 0
    assert len(list(there.iterdir())) == 1
    assert len(list((hub.root / "kept/by/settings").iterdir())) == 1
    other = tmp_path / "other.yaml"
    other.write_text(f"services: supervisor\nbackups: {there}\n")
    done = cli("snapshots", "--hub", hub.prefix, "--settings", other, "--json")
    assert done.returncode == 0, done.stderr


def test_a_day_with_a_hub(live: Live, cli: Cli) -> None:
    where = ("--hub", live.hub.prefix)

    def data(*words: str, code: int = 0) -> object:
        done = cli(*words, *where, "--json")
        assert done.returncode == code, done.stderr
        return json.loads(done.stdout)

    assert data("snapshots") == []
    status = data("status")
    assert isinstance(status, dict)
    assert (status["healthy"], status["snapshots"]) == (True, [])
    assert isinstance(data("check", code=errors.SnapshotMissing.code), list)
    made = data("backup")
    assert isinstance(made, dict)
    verified = data("verify")
    assert isinstance(verified, dict)
    assert verified == made | {"user_data": verified["user_data"]}
    assert data("verify", made["id"]) == verified
    assert data("snapshots") == [made]
    checked = data("check")
    assert isinstance(checked, list)
    assert all(each["ok"] for each in checked)
    assert data("prove") is None
    assert data("upgrade", "--detach") == {"begun": True}
    until(lambda: journal.state(live.hub, "upgrade")["end"] and not lock.held(live.hub))
    again = data("upgrade")
    assert isinstance(again, dict)
    assert (again["code"], again["report"]["changed"]) == (0, False)


def ended(hub: Hub, task: str) -> None:
    until(lambda: journal.state(hub, task)["end"] and not lock.held(hub))


def test_a_backup_and_a_restore_go_on_apart_from_the_terminal(live: Live, cli: Cli) -> None:
    where = ("--hub", live.hub.prefix)
    done = cli("backup", "--detach", *where, "--", "config", "database")
    assert f"progress --hub {live.hub.prefix} backup" in done.stdout
    ended(live.hub, "backup")
    state = json.loads(cli("progress", "backup", *where, "--json").stdout)
    texts = [each.get("text") for each in state["events"]]
    assert texts[0] == "Begin"
    assert {"Configuration", "Database"} <= {*texts}
    kept = json.loads(cli("snapshots", *where, "--json").stdout)[0]
    assert state["end"]["report"] == kept | {"changed": True}
    changed = change_settings(live.hub)
    words = ("restore", "config", "--yes", "--detach")
    assert json.loads(cli(*words, *where, "--json").stdout) == {"begun": True}
    ended(live.hub, "restore")
    assert live.hub.config_file.read_text() != changed
    shown = cli("progress", "restore", *where)
    assert shown.returncode == 0
    for part in ("Stopping the hub", "Starting the hub", "Waiting for", "What was replaced"):
        assert part in shown.stdout
    report = journal.state(live.hub, "restore")["end"]["report"]
    assert (report["changed"], report["servers"]) == (True, {"alice": True})


def test_a_backup_on_the_terminal_leaves_its_journal_as_well(hub: Hub, cli: Cli) -> None:
    assert "There was no backup yet" in cli("progress", "backup", "--hub", hub.prefix).stdout
    assert cli("backup", "config", "--hub", hub.prefix).returncode == 0
    shown = cli("progress", "backup", "--hub", hub.prefix)
    assert (shown.returncode, "Sealed and read back" in shown.stdout) == (0, True)


def test_progress_leaves_with_the_code_of_what_it_shows(hub: Hub, cli: Cli) -> None:
    no_database(hub)
    assert cli("backup", "--detach", "--hub", hub.prefix).returncode == 0
    shown = cli("progress", "backup", "--hub", hub.prefix)
    assert shown.returncode == errors.DatabaseMissing.code
    assert re.search(r"^error: .*\nhint: ", shown.stderr, flags=re.MULTILINE)
    assert cli("progress", "backup", "--json", "--hub", hub.prefix).returncode == 0


@pytest.mark.parametrize("more", [[], ["--dry-run"], ["--into", "/nowhere/at/all"]])
def test_a_restore_that_must_ask_is_not_begun_apart(
    backed_up: Live, cli: Cli, more: list[str]
) -> None:
    changed = change_settings(backed_up.hub)
    done = cli("restore", "config", "--detach", *more, "--hub", backed_up.hub.prefix)
    assert done.returncode == (2 if more else errors.NotConfirmed.code)
    assert "nothing was changed" in done.stderr.lower()
    assert backed_up.hub.config_file.read_text() == changed
    assert journal.state(backed_up.hub, "restore")["events"] == []


def test_what_was_cut_off_is_told(hub: Hub, cli: Cli) -> None:
    killed = subprocess.run(
        [sys.executable, "-c", CUT_OFF, str(hub.prefix)], capture_output=True, check=False
    )
    assert killed.returncode == -signal.SIGKILL
    status = cli("status", "--hub", hub.prefix)
    assert "The last backup was cut off" in status.stderr
    runs = json.loads(cli("status", "--json", "--hub", hub.prefix).stdout)["runs"]
    assert [(each["task"], each["cut_off"], each["code"]) for each in runs] == [
        ("backup", True, None)
    ]
    shown = cli("progress", "backup", "--hub", hub.prefix)
    assert shown.returncode == errors.RunCutOff.code
    assert "every snapshot that is listed is whole" in shown.stderr
    assert cli("backup", "config", "--hub", hub.prefix).returncode == 0
    assert "cut off" not in cli("status", "--hub", hub.prefix).stderr


def test_while_a_backup_runs_status_says_so(hub: Hub, cli: Cli) -> None:
    with journal.Journal(hub, "backup") as log:
        log.phase("Databases")
        said = cli("status", "--hub", hub.prefix)
    assert "A backup runs: Databases." in said.stdout
    assert f"progress --hub {hub.prefix} backup" in said.stdout


MARK = {"at": "20260115T220000Z", "snapshot": "20260115T210000Z", "labels": {}}


def left_behind(hub: Hub, phase: str) -> None:
    """Leave what an upgrade leaves that was cut off in a phase."""
    hub_folder.keep(hub.work / state_file.NAME, json.dumps({**MARK, "phase": phase}), 0o600)


@pytest.mark.parametrize(
    ("phase", "said"),
    [
        (state_file.STAGING, "before it touched the live hub"),
        (state_file.SWAPPING, "between two versions"),
        (state_file.PROVING, "was not proved"),
    ],
)
def test_an_upgrade_that_is_to_be_resumed_is_told(
    hub: Hub, cli: Cli, phase: str, said: str
) -> None:
    where = ("--hub", hub.prefix)
    assert json.loads(cli("status", *where, "--json").stdout)["to_resume"] is None
    left_behind(hub, phase)
    shown = cli("status", *where).stderr
    assert said in shown
    assert f" resume --hub {hub.prefix}" in shown
    assert json.loads(cli("status", *where, "--json").stdout)["to_resume"] == phase
    with journal.Journal(hub, "rollback") as log:
        log.phase("Roll the upgrade back")
        running = cli("status", *where)
    assert "A rollback runs: Roll the upgrade back." in running.stdout
    assert "resume" not in running.stderr


def test_where_no_upgrade_was_cut_off_there_is_nothing_to_resume(hub: Hub, cli: Cli) -> None:
    for more in ([], ["--detach"], ["--at-boot"]):
        done = cli("resume", *more, "--hub", hub.prefix)
        assert (done.returncode, "No upgrade was cut off" in done.stdout) == (0, True)
    assert journal.read(hub, "upgrade") == []


def test_what_was_only_prepared_is_cleared_away_by_a_server_that_starts(
    live: Live, cli: Cli
) -> None:
    left_behind(live.hub, state_file.STAGING)
    pid = live.source.services.pid(services.HUB)
    assert cli("resume", "--at-boot", "--hub", live.hub.prefix).returncode == 0
    ended(live.hub, "upgrade")
    assert state_file.read(live.hub) is None
    assert live.source.services.pid(services.HUB) == pid


def test_while_a_rehearsal_runs_status_says_so(hub: Hub, cli: Cli) -> None:
    with journal.Journal(hub, "rehearse") as log:
        log.phase("Install beside the live hub")
        said = cli("status", "--hub", hub.prefix)
    assert "A rehearsal runs: Install beside the live hub." in said.stdout
    shown = cli("progress", "rehearse", "--hub", hub.prefix)
    assert shown.returncode == errors.RunCutOff.code
    assert "The rehearsal was cut off before it touched the live hub" in shown.stderr


def test_ctrl_c_while_the_command_is_loaded_is_no_traceback(tmp_path: Path) -> None:
    (tmp_path / "click.py").write_text("import signal; signal.raise_signal(signal.SIGINT)")
    own = str(Path(errors.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-m", "tljh_runbook", "status"],
        env=os.environ | {"PYTHONPATH": f"{tmp_path}:{own}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (130, "")


def test_a_broken_guarantee_is_one_document_and_an_exit_code(live: Live, cli: Cli) -> None:
    where = ("--hub", live.hub.prefix)
    assert cli("backup", *where).returncode == 0
    assert cli("upgrade", *where).returncode == 0
    shutil.rmtree(live.hub.root / "home" / "bob")
    done = cli("prove", *where, "--json")
    assert done.returncode == errors.GuaranteeBroken.code
    words = {each["guarantee"]: each["word"] for each in json.loads(done.stdout)["verdicts"]}
    assert words["user data"] == "BROKEN"
    assert "error: " in done.stderr
    shown = cli("prove", *where)
    assert "BROKEN" in shown.stdout
    assert "bob" in shown.stdout


def test_a_damaged_snapshot_does_not_hide_the_others(hub: Hub, cli: Cli) -> None:
    assert cli("backup", "config", "--hub", hub.prefix).returncode == 0
    damaged_snapshot(hub)
    done = cli("snapshots", "--hub", hub.prefix, "--json")
    assert [("error" in each) for each in json.loads(done.stdout)] == [True, False]
    shown = cli("snapshots", "--hub", hub.prefix)
    assert "config" in shown.stdout
    assert "20260115T220000Z" in shown.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_an_example(cli: Cli, command: str) -> None:
    done = cli(command, "--help")
    assert done.returncode == 0
    typed = rf"(sudo python3 tljh-runbook\.pyz|tljh-runbook) {command}"
    assert re.search(rf"Examples?:\n +{typed}", done.stdout)
    assert cli(command, "-h").stdout == done.stdout


def test_help_lists_every_command(cli: Cli) -> None:
    said = cli("--help").stdout
    listed = re.findall(r"^  ([a-z]+)  ", said.partition("Commands:")[2], flags=re.MULTILINE)
    assert sorted(listed) == COMMANDS


def test_a_pipe_gets_plain_lines_that_are_never_cut(hub: Hub, cli: Cli) -> None:
    assert cli("backup", "--hub", hub.prefix).returncode == 0
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "20"}
    for command in ("snapshots", "status"):
        done = cli(command, "--hub", hub.prefix, env=environment)
        assert "\x1b" not in done.stdout + done.stderr
        assert not re.search(r" $", done.stdout, flags=re.MULTILINE)
    assert str(hub.prefix) in done.stdout


def on_terminal(hub: Hub, *words: str, **environment: str) -> str:
    """Return what the command shows on a terminal of 200 columns."""
    kept = {name: value for name, value in os.environ.items() if name not in {"NO_COLOR", "TERM"}}
    said, _ = pexpect.run(
        " ".join([sys.executable, "-m tljh_runbook", *words, "--hub", str(hub.prefix)]),
        env={**kept, "TERM": "xterm-256color", "COLUMNS": "200", **environment},
        withexitstatus=True,
        encoding="utf-8",
        timeout=60,
    )
    return str(said)


def test_a_terminal_gets_colour_unless_it_asks_for_none(hub: Hub) -> None:
    coloured = on_terminal(hub, "check")
    assert "\x1b[32m" in coloured
    assert "\x1b[1;31m" in coloured
    plain = on_terminal(hub, "check", NO_COLOR="1")
    assert not re.search(r"\x1b\[[0-9;]*3[0-9]m", plain)
    assert "error:" in plain


@pytest.mark.parametrize("words", [["backup", "EVIL"], ["status", "--hub", "EVIL"]])
def test_what_would_command_a_terminal_is_made_visible(
    hub: Hub, cli: Cli, words: list[str]
) -> None:
    evil = "x\x1b]0;title\x07\x1b[2J\u202e"
    typed = [evil if word == "EVIL" else word for word in words]
    done = cli(typed[0], "--hub", hub.prefix, *typed[1:])  # the last --hub counts
    assert done.returncode in {errors.NoHub.code, errors.StepUnknown.code}
    assert re.fullmatch(r"[\x20-\x7e\n]+", done.stderr)
    assert "x1b[2J" in done.stderr


def test_names_are_shown_as_they_are(hub: Hub, cli: Cli) -> None:
    for name in ("[red]x[/red]", ":bug:", "[/]"):
        done = cli("backup", name, "--hub", hub.prefix)
        assert f"There is no component called {name!r}" in done.stderr


def test_ctrl_c_is_no_traceback(hub: Hub) -> None:
    child = pexpect.spawn(
        sys.executable,
        ["-m", "tljh_runbook", "upgrade", "--hub", str(hub.prefix)],
        encoding="utf-8",
        timeout=60,
    )
    child.expect(["Begin", "error: "])
    child.sendintr()
    child.expect(pexpect.EOF)
    child.close()
    assert "Traceback" not in str(child.before)


def test_ctrl_c_after_a_snapshot_names_it(hub: Hub) -> None:
    @click.command()
    @on_hub()
    def interrupted(source: Source, *, as_json: bool) -> None:
        capture.create(source, components.chosen(["config"]))
        raise KeyboardInterrupt

    before = CliRunner().invoke(interrupted_at_once(), ["--hub", str(hub.prefix)])
    assert "Nothing half written was left." in before.output
    after = CliRunner().invoke(interrupted, ["--hub", str(hub.prefix)])
    [made] = snapshot.listed(hub.root / "var/backups/tljh")
    assert f"A new snapshot was finished before: {made.name}." in after.output
    assert "Nothing half written" not in after.output
    assert after.exit_code == before.exit_code == INTERRUPTED


def interrupted_at_once() -> click.Command:
    @click.command()
    @on_hub()
    def interrupted(source: Source, *, as_json: bool) -> None:
        raise KeyboardInterrupt

    return interrupted


def test_a_snapshots_name_stays_whole_on_a_narrow_terminal(hub: Hub, cli: Cli) -> None:
    assert cli("backup", "--hub", hub.prefix).returncode == 0
    [made] = snapshot.listed(hub.root / "var/backups/tljh")
    said = on_terminal(hub, "snapshots", COLUMNS="40", NO_COLOR="1")
    assert made.name in said


def test_a_hub_without_its_state_is_told_to_restore(hub: Hub, cli: Cli) -> None:
    shutil.rmtree(hub.state)
    done = cli("status", "--hub", hub.prefix)
    assert done.returncode == errors.NoHub.code
    assert "restore it:" in done.stderr
    assert f"restore --hub {hub.prefix}" in done.stderr


def test_a_hub_without_its_python_is_told_what_brings_it_back(hub: Hub, cli: Cli) -> None:
    hub.python.parent.mkdir(exist_ok=True)
    hub.python.unlink(missing_ok=True)
    hub.python.symlink_to("/usr/bin/python2.7-gone")
    done = cli("status", "--hub", hub.prefix)
    assert f"upgrade --hub {hub.prefix}" in done.stderr
    assert f"restore --hub {hub.prefix}" in done.stderr


def test_one_cause_is_said_once(hub: Hub, cli: Cli) -> None:
    hub.config_file.write_text("limits:\n  memory: 1G\n  memory: secret\n")
    done = cli("check", "--hub", hub.prefix)
    wrong = 'line 3, column 3: found duplicate key "memory". Nothing was changed.'
    assert done.stdout.count(wrong) == done.stderr.count(wrong) == 1
    assert "secret" not in done.stdout + done.stderr


def test_a_reader_that_leaves_early_gets_no_traceback(hub: Hub) -> None:
    command = f"{sys.executable} -m tljh_runbook status --hub {hub.prefix} | true"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert done.stderr == ""


@pytest.fixture
def backed_up(live: Live, cli: Cli) -> Live:
    """A hub that lives, with a snapshot of its configuration and its databases."""
    assert cli("backup", "config", "database", "--hub", live.hub.prefix).returncode == 0
    return live


def change_settings(hub: Hub) -> str:
    text = hub.config_file.read_text() + "# changed since\n"
    hub.config_file.write_text(text)
    return text


def test_restore_asks_first(backed_up: Live) -> None:
    changed = change_settings(backed_up.hub)
    command = [sys.executable, "-m", "tljh_runbook", "restore", "config"]
    for answer, code in (("n", errors.NotConfirmed.code), ("y", 0)):
        child = pexpect.spawn(command[0], [*command[1:], "--hub", str(backed_up.hub.prefix)])
        child.expect("Restore this now")
        assert backed_up.hub.config_file.read_text() == changed
        child.sendline(answer)
        child.expect(pexpect.EOF)
        child.close()
        assert child.exitstatus == code
    assert "changed since" not in backed_up.hub.config_file.read_text()


def test_restore_does_not_guess_in_a_script(backed_up: Live, cli: Cli) -> None:
    changed = change_settings(backed_up.hub)
    done = cli("restore", "config", "--hub", backed_up.hub.prefix, stdin=subprocess.DEVNULL)
    assert done.returncode == errors.NotConfirmed.code
    assert "A script adds --yes" in done.stderr
    assert backed_up.hub.config_file.read_text() == changed


def test_restore_tells_a_script(backed_up: Live, cli: Cli) -> None:
    change_settings(backed_up.hub)
    hub = ("--hub", backed_up.hub.prefix, "--json")
    seen = json.loads(cli("restore", "config", "--dry-run", *hub).stdout)
    change = {"what": str(backed_up.hub.config_file), "before": "differs", "after": "as kept"}
    assert seen == {"changes": [change]}
    assert "changed since" in backed_up.hub.config_file.read_text()
    done = json.loads(cli("restore", "config", "--yes", *hub).stdout)
    assert done["changes"] == [change]
    assert done["servers"] == {"alice": True}
    assert [Path(folder).is_dir() for folder in done["replaced"]] == [True]


@pytest.mark.parametrize("day", ["2020-01-01", "2020-01-01 10:00"])
def test_restore_as_of_a_day_before_the_first(backed_up: Live, cli: Cli, day: str) -> None:
    done = cli("restore", "--as-of", day, "--hub", backed_up.hub.prefix)
    assert done.returncode == errors.SnapshotMissing.code
    assert "Nothing was changed" in done.stderr


def test_restore_as_of_no_day(backed_up: Live, cli: Cli) -> None:
    done = cli("restore", "--as-of", "monday", "--hub", backed_up.hub.prefix)
    assert done.returncode == 2
    assert "no day such as 2026-01-15" in done.stderr


def test_restore_after_all_of_the_hub_is_gone(backed_up: Live, cli: Cli) -> None:
    """Even without its folders the hub is found: by its settings, and what the runbook knows."""
    shutil.rmtree(backed_up.hub.config)
    done = cli(
        "restore", "config", "--into", backed_up.hub.root / "look", "--hub", backed_up.hub.prefix
    )
    assert done.returncode == 0, done.stderr
    shown = backed_up.hub.root / "look" / str(backed_up.hub.config_file).lstrip("/")
    assert shown.is_file()


def test_a_check_tells_of_a_restore_that_was_cut_off(backed_up: Live, cli: Cli) -> None:
    mark = {"snapshot": "20260101T000000Z", "typed": "restore config --snapshot 20260101T000000Z"}
    hub_folder.keep(backed_up.hub.work / "restore.json", json.dumps(mark), 0o600)
    done = cli("check", "--hub", backed_up.hub.prefix)
    assert done.returncode == errors.RestoreFailed.code
    assert "20260101T000000Z did not come to its end" in done.stderr
    assert f"--hub {backed_up.hub.prefix} config --snapshot 20260101T000000Z" in done.stderr


def test_two_snapshots_are_compared(backed_up: Live, cli: Cli) -> None:
    hub = ("--hub", backed_up.hub.prefix)
    first = json.loads(cli("snapshots", "--json", *hub).stdout)[0]["id"]
    database = backed_up.hub.state / "tljh_plasma.sqlite"
    hub_folder.change(database, "DELETE FROM permissions WHERE rowid = 1")
    second = json.loads(cli("backup", "database", "--json", *hub).stdout)["id"]
    found = json.loads(cli("snapshots", "diff", first, second, "--json", *hub).stdout)
    told = {(each["component"], each["what"]): (each["older"], each["newer"]) for each in found}
    rows = len(hub_folder.IMAGES)
    assert told["database", "plasma: rows of permissions"] == (str(rows), str(rows - 1))
    assert told["config", ""] == ("kept", "")
    same = cli("snapshots", "diff", second, second, *hub)
    assert same.stdout == "The two snapshots hold the same.\n"


def test_the_hub_may_be_named_before_or_behind_a_subcommand(backed_up: Live, cli: Cli) -> None:
    hub = ("--hub", backed_up.hub.prefix)
    before, behind = cli("snapshots", *hub, "show"), cli("snapshots", "show", *hub)
    assert before.returncode == 0, before.stderr
    assert before.stdout == behind.stdout
    assert str(backed_up.hub.prefix) in before.stdout


def test_prune_tells_before_it_removes(backed_up: Live, cli: Cli) -> None:
    hub = ("--hub", backed_up.hub.prefix)
    hub_folder.keep(
        backed_up.hub.settings_file,
        hub_folder.SETTINGS + "keep: {last: 1, daily: 0, weekly: 0, monthly: 0}\n",
        0o644,
    )
    assert cli("backup", "config", "database", *hub).returncode == 0
    seen = cli("prune", "--dry-run", *hub)
    assert "1 of 2 would go" in seen.stdout
    assert len(json.loads(cli("snapshots", "--json", *hub).stdout)) == 2
    assert "1 of 2 removed" in cli("prune", *hub).stdout
    assert len(json.loads(cli("snapshots", "--json", *hub).stdout)) == 1


@pytest.mark.parametrize(
    ("typed", "wanted"),
    [
        (["tljh-runbook", "rest"], "restore"),
        (["tljh-runbook", "backup", "data"], "database"),
        (["tljh-runbook", "restore", "--as"], "--as-of"),
    ],
)
def test_completion(cli: Cli, typed: list[str], wanted: str) -> None:
    """Ask as the script that `completion bash` prints asks."""
    script = cli("completion", "bash").stdout
    assert "_TLJH_RUNBOOK_COMPLETE=bash_complete" in script
    asked = {
        "_TLJH_RUNBOOK_COMPLETE": "bash_complete",
        "COMP_WORDS": " ".join(typed),
        "COMP_CWORD": str(len(typed) - 1),
    }
    program = Path(sys.executable).with_name("tljh-runbook")
    done = subprocess.run(
        [program], env=os.environ | asked, capture_output=True, text=True, check=False
    )
    assert f"plain,{wanted}" in done.stdout.splitlines()


def test_completion_knows_the_snapshots(backed_up: Live, cli: Cli) -> None:
    hub = str(backed_up.hub.prefix)
    known = json.loads(cli("snapshots", "--json", "--hub", hub).stdout)[0]["id"]
    typed = ["tljh-runbook", "verify", "--hub", hub, "20"]
    asked = {
        "_TLJH_RUNBOOK_COMPLETE": "bash_complete",
        "COMP_WORDS": " ".join(typed),
        "COMP_CWORD": str(len(typed) - 1),
    }
    program = Path(sys.executable).with_name("tljh-runbook")
    done = subprocess.run(
        [program], env=os.environ | asked, capture_output=True, text=True, check=False
    )
    assert f"plain,{known}" in done.stdout.splitlines()


@pytest.mark.parametrize(
    "words",
    [
        ["--path", ""],
        ["--user", ""],
        ["--as-of", ""],
        ["--snapshot", ""],
        ["--snapshot", "20260101T000000Z", "--as-of", "2026-01-01"],
        ["config", "--user", "alice"],
        ["--into", "/nowhere/at/all", "--dry-run"],
    ],
)
def test_what_contradicts_itself_is_not_guessed(hub: Hub, cli: Cli, words: list[str]) -> None:
    before = hub_folder.contents(hub.root)
    done = cli("restore", *words, "--yes", "--hub", hub.prefix)
    assert done.returncode == 2, done.stderr
    assert "Nothing was changed" in done.stderr
    assert hub_folder.contents(hub.root) == before
