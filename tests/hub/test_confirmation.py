"""An upgrade that must be confirmed: it stays when it is, and rolls back automatically when not."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import hub_folder
import pytest
from hub_fixtures import Cli, Live, until
from test_staging import done, prepared_beside, start, texts

from tljh_runbook.errors import NothingToConfirm, SettingsInvalid, UpgradeRolledBack
from tljh_runbook.hub.core import settings
from tljh_runbook.hub.runs import journal, lock, worker
from tljh_runbook.hub.system import processes
from tljh_runbook.hub.upgrade import confirmation, state_file
from tljh_runbook.hub.upgrade.state_file import Mark
from tljh_runbook.hub.upgrade.swap import previous
from tljh_runbook.hub.versions import versions

PASSED = "2026-01-15T22:00:00Z"
SYSTEMD_RUN = """#!{python}
import json, pathlib, sys

pathlib.Path({folder!r}, "asked").write_text(json.dumps(sys.argv[1:]))
"""


@pytest.fixture
def staged(live: Live) -> Iterator[Live]:
    prepared_beside(live)
    yield live
    confirmation.forget(live.hub)
    until(lambda: not watchers(live))


def label(live: Live) -> str:
    return versions.installed(live.hub).rows()["TLJH"]


def watchers(live: Live) -> list[int]:
    """Return the processes that wait for the time to be over."""
    known = [int(path.name) for path in processes.PROC.iterdir() if path.name.isdigit()]
    words = {"--unless-confirmed", str(live.hub.prefix)}
    return [pid for pid in known if words <= {*processes.command_line(pid)}]


def stop_watchers(live: Live) -> None:
    """End them as a reboot does."""
    for pid in watchers(live):
        os.kill(pid, signal.SIGKILL)
    until(lambda: not watchers(live))


def begun_to_prove(live: Live, version: str, *words: str) -> Mark:
    """Begin an upgrade, and return its mark as soon as the new version is in its place."""
    (live.hub.root / "srv" / "wait").touch()
    start(live, "upgrade", *words)
    until(lambda: f"Setting up TLJH {version}" in texts(live))
    (live.hub.root / "srv" / "wait").unlink()
    until(
        lambda: (now := state_file.read(live.hub)) is not None and now.phase == state_file.PROVING
    )
    found = state_file.read(live.hub)
    assert found
    return found


def cut_off_while_it_proves(live: Live, version: str, *words: str) -> None:
    """Begin an upgrade, and kill it when the new version is in its place."""
    begun_to_prove(live, version, *words)
    os.kill(int(journal.read(live.hub, "upgrade")[0]["pid"]), signal.SIGKILL)
    until(lambda: not lock.held(live.hub))


def pass_time(live: Live) -> None:
    """Let the time be over."""
    file = live.hub.work / confirmation.NAME
    file.write_text(json.dumps({**json.loads(file.read_text()), "until": PASSED}))


def rolled_back(live: Live) -> bool:
    end = journal.state(live.hub, "rollback")["end"]
    return bool(end) and not lock.held(live.hub)


def test_an_upgrade_that_nobody_confirms_is_rolled_back_by_itself(staged: Live, cli: Cli) -> None:
    live = staged
    end = done(live, "upgrade", "--confirm-within", "60")
    assert end["error"] is None
    assert label(live) == "2.0.0"
    told = json.loads(cli("status", "--json", "--hub", live.hub.prefix).stdout)
    assert told["confirm_until"] == end["report"]["confirm_until"] > PASSED
    assert "tljh_runbook confirm" in cli("status", "--hub", live.hub.prefix).stderr
    pass_time(live)
    until(lambda: rolled_back(live))
    assert label(live) == "1.0.0"
    report = journal.state(live.hub, "rollback")["end"]["report"]
    assert f"confirmed the upgrade of {told['upgrade']['end']['report']['at']}" in report["why"]
    assert PASSED in report["why"]
    shown = cli("progress", "rollback", "--hub", live.hub.prefix)
    assert "Nobody has confirmed" in shown.stdout
    assert "rolled back automatically" in shown.stderr
    late = cli("confirm", "--hub", live.hub.prefix)
    assert late.returncode == NothingToConfirm.code
    assert "was rolled back at" in late.stderr
    assert not (live.hub.work / confirmation.NAME).exists()


def test_an_upgrade_that_is_confirmed_stays(staged: Live, cli: Cli) -> None:
    live = staged
    at = done(live, "upgrade", "--confirm-within", "60")["report"]["at"]
    (watcher,) = watchers(live)
    assert cli("confirm", "--hub", live.hub.prefix).stdout == f"The upgrade of {at} stays.\n"
    until(lambda: processes.started(watcher) is None)
    assert label(live) == "2.0.0"
    assert journal.read(live.hub, "rollback") == []
    assert previous.read(live.hub).at == at  # it can be rolled back by hand still
    again = cli("confirm", "--hub", live.hub.prefix)
    assert again.returncode == NothingToConfirm.code
    assert "No upgrade waits" in again.stderr
    told = json.loads(cli("prove", "--json", "--hub", live.hub.prefix).stdout)
    assert told["confirm_until"] == ""


def test_a_reboot_or_a_kill_forgets_nothing(staged: Live, cli: Cli) -> None:
    live = staged
    done(live, "upgrade", "--confirm-within", "60")
    stop_watchers(live)
    shown = cli("resume", "--at-boot", "--hub", live.hub.prefix)
    assert "unless you confirm it" in shown.stderr
    until(lambda: watchers(live))
    pass_time(live)
    until(lambda: rolled_back(live))
    assert label(live) == "1.0.0"


def test_a_run_that_works_on_the_hub_is_waited_for(
    staged: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    live = staged
    at = done(live, "upgrade", "--confirm-within", "60")["report"]["at"]
    stop_watchers(live)
    pass_time(live)
    monkeypatch.setattr(confirmation, "AGAIN", 0.1)
    tried: list[bool] = []

    command = [sys.executable, "-m", "tljh_runbook"]
    words = confirmation.words(live.source, at)

    def go_back() -> None:
        tried.append(True)
        if len(tried) == 1:
            worker.start(live.source, "rollback", command, words)  # it is busy
        held.close()
        subprocess.run([*command, *words], check=True)

    with ExitStack() as held:
        held.enter_context(lock.hold(live.hub, "another run"))
        confirmation.stand_by(live.source, at, go_back)
    until(lambda: rolled_back(live))
    assert (label(live), len(tried)) == ("1.0.0", 2)


def test_the_version_before_is_kept_until_it_is_confirmed(staged: Live, cli: Cli) -> None:
    live = staged
    text = live.hub.settings_file.read_text(encoding="utf-8")
    live.hub.settings_file.write_text(f"{text}  keep_previous: false\n  confirm_within: 60\n")
    at = done(live, "upgrade")["report"]["at"]
    assert previous.read(live.hub).at == at
    assert cli("confirm", "--hub", live.hub.prefix).returncode == 0
    assert not live.hub.previous.exists()


def test_an_upgrade_that_was_cut_off_is_to_be_confirmed_too(staged: Live, cli: Cli) -> None:
    live = staged
    cut_off_while_it_proves(live, "2.0.0", "--confirm-within", "60")
    assert confirmation.read(live.hub) is None
    assert cli("resume", "--hub", live.hub.prefix).returncode == 0
    assert confirmation.read(live.hub)
    assert watchers(live)


def test_an_upgrade_that_was_rolled_back_by_hand_is_not_rolled_back_again(
    staged: Live, cli: Cli
) -> None:
    live = staged
    done(live, "upgrade", "--confirm-within", "60")
    assert done(live, "rollback", "--yes")["error"] is None
    assert confirmation.read(live.hub) is None
    until(lambda: not watchers(live))
    late = cli("confirm", "--hub", live.hub.prefix)
    assert late.returncode == NothingToConfirm.code


def test_who_confirms_while_it_goes_back_is_told(staged: Live, cli: Cli) -> None:
    live = staged
    at = done(live, "upgrade", "--confirm-within", "60")["report"]["at"]
    with confirmation.closed(live.hub, "the way back") as open_:
        assert open_
        assert open_.at == at
        told = cli("confirm", "--hub", live.hub.prefix)
    assert told.returncode == NothingToConfirm.code
    assert "being rolled back just now" in told.stderr


def test_the_next_upgrade_need_not_be_confirmed_where_nobody_asks(staged: Live) -> None:
    live = staged
    done(live, "upgrade", "--confirm-within", "60")
    text = live.hub.settings_file.read_text(encoding="utf-8")
    live.hub.settings_file.write_text(text.replace("tljh: 2.0.0", "tljh: 2.0.1"))
    assert done(live, "upgrade")["report"]["confirm_until"] == ""
    assert label(live) == "2.0.1"
    assert confirmation.read(live.hub) is None


def want(live: Live, version: str, more: str = "") -> None:
    text = live.hub.settings_file.read_text(encoding="utf-8")
    live.hub.settings_file.write_text(text.replace("tljh: 2.0.0", f"tljh: {version}") + more)


def begin_to_go_back(live: Live, at: str) -> None:
    """Be the run that the timer starts in its moment."""
    words = [*confirmation.words(live.source, at), "--worker", "now"]
    subprocess.run([sys.executable, "-m", "tljh_runbook", *words], check=True, capture_output=True)


def test_who_confirms_while_somebody_goes_back_by_hand_is_told(staged: Live, cli: Cli) -> None:
    live = staged
    done(live, "upgrade", "--confirm-within", "60")
    start(live, "rollback", "--yes")
    begun = "Measure the guarantees"
    until(lambda: begun in [each.get("text") for each in journal.read(live.hub, "rollback")])
    pid = int(journal.read(live.hub, "rollback")[0]["pid"])
    os.kill(pid, signal.SIGSTOP)
    try:
        told = cli("confirm", "--hub", live.hub.prefix)
    finally:
        os.kill(pid, signal.SIGCONT)
    assert told.returncode == NothingToConfirm.code
    assert "being rolled back just now" in told.stderr
    until(lambda: rolled_back(live))
    assert label(live) == "1.0.0"


def test_what_fails_to_go_back_is_tried_again(
    staged: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    live = staged
    at = done(live, "upgrade", "--confirm-within", "60")["report"]["at"]
    stop_watchers(live)
    pass_time(live)
    monkeypatch.setattr(confirmation, "AGAIN", 0.1)
    tried: list[bool] = []

    def go_back() -> None:
        tried.append(True)
        if len(tried) > 1:  # the first came to nothing
            begin_to_go_back(live, at)

    confirmation.stand_by(live.source, at, go_back)
    assert (label(live), len(tried)) == ("1.0.0", 2)


def test_a_confirmation_at_the_last_moment_counts(staged: Live, cli: Cli) -> None:
    live = staged
    at = done(live, "upgrade", "--confirm-within", "60")["report"]["at"]
    stop_watchers(live)
    assert cli("confirm", "--hub", live.hub.prefix).returncode == 0
    begin_to_go_back(live, at)
    assert label(live) == "2.0.0"
    assert journal.rolled_back(live.hub) == ""


def test_a_later_upgrade_that_was_cut_off_comes_to_its_end_first(staged: Live) -> None:
    """Else the way back of the later one would be lost, and the hub a mixture of both."""
    live = staged
    at = done(live, "upgrade", "--confirm-within", "60")["report"]["at"]
    stop_watchers(live)
    want(live, "2.0.1")
    cut_off_while_it_proves(live, "2.0.1")
    pass_time(live)
    begin_to_go_back(live, at)
    assert label(live) == "2.0.1"
    assert state_file.read(live.hub) is None


def test_going_back_by_hand_goes_back_one_upgrade(staged: Live) -> None:
    live = staged
    done(live, "upgrade")
    want(live, "2.0.1")
    cut_off_while_it_proves(live, "2.0.1")
    assert done(live, "rollback", "--yes")["error"] is None
    assert label(live) == "2.0.0"
    assert state_file.read(live.hub) is None


def test_a_later_upgrade_waits_for_who_confirms_before_it_keeps_its_own(staged: Live) -> None:
    """Else who confirms the one before could remove the version that the later one has kept."""
    live = staged
    first = done(live, "upgrade", "--confirm-within", "60")["report"]["at"]
    want(live, "2.0.1")
    begun_to_prove(live, "2.0.1")
    pid = journal.read(live.hub, "upgrade")[0]["pid"]
    file = live.hub.work / confirmation.LOCK
    with lock.hold(live.hub, "the confirmation", confirmation.LOCK):
        until(lambda: file in processes.open_files(pid))
        assert previous.read(live.hub).at == first
    until(lambda: journal.state(live.hub, "upgrade")["end"] and not lock.held(live.hub))
    assert journal.state(live.hub, "upgrade")["end"]["error"] is None
    assert previous.read(live.hub).labels["TLJH"] == "2.0.0"


def test_an_upgrade_that_keeps_no_version_before_leaves_no_older_one(staged: Live) -> None:
    live = staged
    done(live, "upgrade")
    assert live.hub.previous.exists()
    want(live, "2.0.1", "  keep_previous: false\n")
    done(live, "upgrade")
    assert label(live) == "2.0.1"
    assert not live.hub.previous.exists()


def test_the_way_back_is_found_where_it_was_kept(staged: Live, cli: Cli) -> None:
    """Between keeping the previous version and the end of the mark, the power goes."""
    live = staged
    left = begun_to_prove(live, "2.0.0")
    until(lambda: journal.state(live.hub, "upgrade")["end"] and not lock.held(live.hub))
    state_file.write(live.hub, replace(left, phase=state_file.BACK))
    assert cli("resume", "--hub", live.hub.prefix).returncode == UpgradeRolledBack.code
    assert label(live) == "1.0.0"
    assert state_file.read(live.hub) is None


def test_on_a_server_it_is_a_timer_of_systemds(
    staged: Live, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    live = staged
    at = done(live, "upgrade", "--confirm-within", "60")["report"]["at"]
    folder = tmp_path / "systemd"
    hub_folder.keep(
        folder / "systemd-run",
        SYSTEMD_RUN.format(python=sys.executable, folder=str(folder)),
        0o755,
    )
    hub_folder.keep(folder / "systemctl", "#!/bin/sh\necho inactive\n", 0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    chosen = replace(live.source.settings, services="systemd")
    confirmation.watch(replace(live.source, settings=chosen, file=Path("/etc/other.yaml")))
    asked = json.loads((folder / "asked").read_text())
    options, command = asked[: asked.index("--")], asked[asked.index("--") + 1 :]
    assert f"--unit=tljh-runbook-confirm-{at}" in options
    words = ["rollback", "--unless-confirmed", at, "--hub", str(live.hub.prefix)]
    assert command[-7:] == [*words, "--settings", "/etc/other.yaml"]
    (calendar,) = [each for each in options if each.startswith("--on-calendar=")]
    if shutil.which("systemd-analyze"):
        moment = calendar.partition("=")[2]
        subprocess.run(["systemd-analyze", "calendar", moment], check=True, capture_output=True)
    pass_time(live)
    confirmation.watch(replace(live.source, settings=chosen))
    asked = json.loads((folder / "asked").read_text())
    assert not [each for each in asked if each.startswith("--on-calendar=")]


@pytest.mark.parametrize("minutes", [-1, 525_601])
@pytest.mark.parametrize("name", ["quiet_within", "confirm_within"])
def test_a_time_below_nothing_or_beyond_a_year_is_refused(
    live: Live, name: str, minutes: int
) -> None:
    text = live.hub.settings_file.read_text(encoding="utf-8")
    live.hub.settings_file.write_text(f"{text}  {name}: {minutes}\n")
    with pytest.raises(SettingsInvalid, match=f"upgrade.{name}"):
        settings.load(live.hub)
