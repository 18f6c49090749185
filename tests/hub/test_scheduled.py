"""What runs without a person does its work, and says how it went, whatever ends it."""

from __future__ import annotations

import json
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hub_folder
import pytest
from hub_fixtures import until
from restic_servers import needs
from watchman import SECRET, Watchman, watching

from tljh_runbook import errors
from tljh_runbook.hub.context import Source
from tljh_runbook.hub.core import settings
from tljh_runbook.hub.core.layout import Hub
from tljh_runbook.hub.runs import lock, run_record
from tljh_runbook.hub.snapshots import snapshot
from tljh_runbook.hub.system import services
from tljh_runbook.hub.upgrade.check import checks


@pytest.fixture(autouse=True)
def _restic_is_installed() -> None:
    needs("restic")


@pytest.fixture
def watchman(hub: Hub) -> Iterator[Watchman]:
    """A watchman that the hub's settings name."""
    with watching() as made:
        made.watch(hub)
        yield made


Run = Callable[..., "tuple[subprocess.CompletedProcess[str], dict[str, Any]]"]


@pytest.fixture
def run(hub: Hub) -> Run:
    """Run a scheduled task in a process of its own; its output never holds the secret."""

    def run(task: str, *more: str) -> tuple[subprocess.CompletedProcess[str], dict[str, Any]]:
        done = subprocess.run(
            command(hub, task, *more), capture_output=True, text=True, timeout=120, check=False
        )
        assert SECRET not in done.stdout + done.stderr
        return done, record(hub, task)

    return run


def command(hub: Hub, task: str, *more: str) -> list[str]:
    words = ["scheduled", task, "--hub", str(hub.prefix), *more]
    return [sys.executable, "-m", "tljh_runbook", *words]


def record(hub: Hub, task: str) -> dict[str, Any]:
    found = run_record.read(hub, task)
    assert found is not None
    return found


def reloaded(hub: Hub) -> Source:
    found = settings.load(hub)
    return Source(hub, found, services.of(hub, found))


def test_a_good_backup_is_recorded_and_told(hub: Hub, run: Run, watchman: Watchman) -> None:
    done, kept = run("backup", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == kept
    (made,) = snapshot.listed(Path(settings.load(hub).backups))
    about = snapshot.read(made).manifest
    assert (kept["code"], kept["error"]) == (0, None)
    assert kept["success"]["snapshot"] == about.id
    assert kept["success"]["size"] == about.size
    assert kept["success"]["user_data"] == about.components["user-data"]["bytes"] > 0
    size = about.size + kept["success"]["user_data"]
    assert watchman.told == [("/start", ""), ("", f"backup of {about.id}: {size} bytes")]
    file = hub.work / "scheduled" / "backup.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700


def test_the_secret_is_in_its_own_file_alone(hub: Hub, run: Run, watchman: Watchman) -> None:
    run("backup")
    run("verify")
    holding = [
        name
        for name, (*_, data) in hub_folder.contents(hub.root).items()
        if SECRET.encode() in data
    ]
    assert holding == ["etc/runbook.ping"]


def test_old_snapshots_are_removed_behind_a_good_one(hub: Hub, run: Run) -> None:
    keep = "keep: {last: 1, daily: 0, weekly: 0, monthly: 0}\n"
    hub_folder.keep(hub.settings_file, hub_folder.SETTINGS + keep, 0o644)
    first = run("backup")[1]["success"]["snapshot"]
    second = run("backup")[1]["success"]["snapshot"]
    left = [path.name for path in snapshot.listed(Path(settings.load(hub).backups))]
    assert (left, first != second) == ([second], True)


def test_a_removal_that_fails_does_not_hide_the_backup(
    hub: Hub, run: Run, watchman: Watchman
) -> None:
    backups = Path(settings.load(hub).backups)
    hub_folder.keep(backups / ".removed-in-the-way", "a file where a folder is to be", 0o600)
    done, kept = run("backup")
    assert done.returncode == kept["code"] == errors.DiskFailed.code
    (made,) = snapshot.listed(backups)
    assert kept["success"]["snapshot"] == made.name
    assert f"The new snapshot {made.name} is good" in kept["error"]["message"]
    assert f"The new snapshot {made.name} is good" in done.stderr
    assert watchman.told[-1] == ("/fail", kept["error"]["message"])


def test_a_backup_without_users_files_is_no_success(hub: Hub, run: Run) -> None:
    password = Path(settings.load(hub).user_data.password_file)
    hub_folder.keep(password, "readable by all\n", 0o644)
    done, kept = run("backup")
    assert done.returncode == kept["code"] == errors.BackupIncomplete.code
    assert "may be read by others" in kept["error"]["message"]
    assert kept["success"] is None
    assert len(snapshot.listed(Path(settings.load(hub).backups))) == 1


def test_a_hub_in_ruins_is_not_backed_up(hub: Hub, run: Run, watchman: Watchman) -> None:
    good = run("backup")[1]["success"]
    hub.config.rename(hub.root / "aside")
    done, kept = run("backup")
    assert done.returncode == kept["code"] == errors.NoHub.code
    assert kept["success"] == good
    assert watchman.paths[-1] == "/fail"


def test_a_backup_that_finds_the_hub_busy_says_so(hub: Hub, run: Run, watchman: Watchman) -> None:
    good = run("backup")[1]["success"]
    with lock.hold(hub, "a test"):
        done, kept = run("backup")
    assert done.returncode == kept["code"] == errors.Busy.code
    assert kept["success"] == good
    assert watchman.paths == ["/start", "", "/start", "/fail"]


def test_verification_reads_the_snapshot_and_the_users_files(
    hub: Hub, run: Run, watchman: Watchman
) -> None:
    made = run("backup")[1]["success"]["snapshot"]
    done, kept = run("verify")
    assert done.returncode == 0, done.stderr
    assert kept["success"]["snapshot"] == made
    assert watchman.paths[-2:] == ["/start?of=verify", "?of=verify"]


def test_verification_finds_what_has_changed(hub: Hub, run: Run, watchman: Watchman) -> None:
    made = run("backup")[1]["success"]["snapshot"]
    good = run("verify")[1]["success"]
    folder = Path(settings.load(hub).backups) / made
    sealed = folder / snapshot.read(folder).manifest.of("config")[0].path
    sealed.write_bytes(sealed.read_bytes() + b"# changed\n")
    done, kept = run("verify")
    assert done.returncode == kept["code"] == errors.SnapshotDamaged.code
    assert kept["success"] == good
    assert watchman.told[-1] == ("/fail?of=verify", kept["error"]["message"])


def test_verification_reads_the_repository(hub: Hub, run: Run) -> None:
    hub_folder.keep(hub.settings_file, hub_folder.SETTINGS + "scheduled: {sample: 100}\n", 0o644)
    run("backup")
    repository = Path(settings.load(hub).user_data.repository)
    for pack in (path for path in (repository / "data").rglob("*") if path.is_file()):
        data = bytearray(pack.read_bytes())
        data[10] ^= 0xFF
        pack.chmod(0o600)
        pack.write_bytes(data)
    done, kept = run("verify")
    assert done.returncode == kept["code"] == errors.RepositoryDamaged.code


def test_user_data_is_sought_behind_a_newer_snapshot_of_less(hub: Hub, run: Run) -> None:
    run("backup")
    words = ["backup", "config", "--hub", str(hub.prefix)]
    subprocess.run([sys.executable, "-m", "tljh_runbook", *words], check=True, capture_output=True)
    assert run("verify")[0].returncode == 0


def test_verification_without_any_user_data_fails(hub: Hub, run: Run) -> None:
    words = ["backup", "config", "--hub", str(hub.prefix)]
    subprocess.run([sys.executable, "-m", "tljh_runbook", *words], check=True, capture_output=True)
    assert run("verify")[1]["code"] == errors.BackupIncomplete.code


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_run_that_is_stopped_says_so(hub: Hub, watchman: Watchman, number: int) -> None:
    watchman.go.clear()
    process = subprocess.Popen(command(hub, "backup"), stderr=subprocess.PIPE, text=True)
    until(lambda: watchman.told)
    process.send_signal(number)
    watchman.go.set()
    _, said = process.communicate(timeout=60)
    kept = record(hub, "backup")
    assert process.returncode == kept["code"] == 128 + number
    assert f"signal {number:d}" in kept["error"]["message"]
    assert watchman.paths == ["/start", "/fail"]
    assert "Traceback" not in said


def test_a_run_that_is_cut_off_is_told_as_such(hub: Hub, watchman: Watchman) -> None:
    watchman.go.clear()
    process = subprocess.Popen(command(hub, "backup"))
    until(lambda: watchman.told)
    assert run_record.seen(hub, "backup").running
    assert not run_record.seen(hub, "backup").cut_off
    process.kill()
    process.wait()
    seen = run_record.seen(hub, "backup")
    assert (seen.running, seen.cut_off) == (False, True)
    (finding,) = [each for each in checks.run(reloaded(hub)) if each.name == "scheduled"]
    assert (finding.error, "scheduled backup" in finding.warning) == (None, True)


def test_the_same_run_twice_leaves_the_first_ones_record(
    hub: Hub, watchman: Watchman, run: Run
) -> None:
    watchman.go.clear()
    process = subprocess.Popen(command(hub, "backup"), stdout=subprocess.DEVNULL)
    until(lambda: watchman.told)
    before = record(hub, "backup")
    done, after = run("backup")
    assert done.returncode == errors.Busy.code
    assert after == before
    watchman.go.set()
    assert process.wait() == 0


def test_a_check_tells_of_a_run_that_failed(hub: Hub, run: Run) -> None:
    run("verify")
    found = {each.name: each for each in checks.run(reloaded(hub))}
    assert found["scheduled"].error is None
    assert "The last scheduled verify failed" in found["scheduled"].warning


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"task": "backup"}', "\x00"])
def test_a_record_that_is_none_is_not_believed(hub: Hub, text: str) -> None:
    hub_folder.keep(hub.work / "scheduled" / "backup.json", text, 0o600)
    assert run_record.read(hub, "backup") is None


def test_a_record_that_cannot_be_written_does_not_stop_a_backup(hub: Hub, run: Run) -> None:
    (hub.work / "scheduled" / "backup.json").mkdir(parents=True)
    done = subprocess.run(command(hub, "backup"), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "could not be recorded" in done.stderr


def test_a_watchman_that_refuses_fails_no_run(run: Run, watchman: Watchman) -> None:
    watchman.status = 404
    done, kept = run("backup")
    assert (done.returncode, kept["code"]) == (0, 0)
    assert done.stderr.count("HTTP 404") == done.stderr.count("was not reached") == 1


def test_what_may_not_be_read_is_told_as_denied() -> None:
    told = run_record.told(PermissionError(13, "Permission denied", "/etc/x"), "backup")
    assert told is not None
    assert (told["code"], "/etc/x" in told["message"]) == (errors.AccessDenied.code, True)


def test_an_unexpected_error_is_told_without_its_words() -> None:
    told = run_record.told(KeyError(SECRET), "backup")
    assert told is not None
    assert (told["code"], SECRET in str(told)) == (1, False)
