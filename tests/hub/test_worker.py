"""The upgrade runs apart from the terminal that began it, and tells how it ended."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import time
from dataclasses import replace
from typing import Any

import hub_folder
import pytest
from hub_fixtures import Live, broken_or_unseen, resume, until

from tljh_runbook.errors import (
    Busy,
    GuaranteeBroken,
    HubUnhealthy,
    RunCutOff,
    SnapshotMissing,
    SnapshotStale,
    ToolMissing,
    UpgradeRolledBack,
)
from tljh_runbook.hub.backup import capture, components
from tljh_runbook.hub.core import config
from tljh_runbook.hub.runs import journal, lock, worker
from tljh_runbook.hub.snapshots import manifest, snapshot
from tljh_runbook.hub.snapshots.snapshot import Snapshot
from tljh_runbook.hub.system import processes, services
from tljh_runbook.hub.upgrade import changes, state_file, verification
from tljh_runbook.hub.upgrade.check import checks
from tljh_runbook.hub.upgrade.finish import cut_off
from tljh_runbook.hub.versions import versions


@pytest.fixture
def backed_up(live: Live) -> Live:
    capture.create(live.source, components.every())
    return live


def start(live: Live) -> None:
    """Begin an upgrade, and return when it has started."""
    command = [sys.executable, "-m", "tljh_runbook", "upgrade", "--detach"]
    subprocess.run([*command, "--hub", str(live.hub.prefix)], check=True, capture_output=True)


def upgraded(live: Live) -> dict[str, Any]:
    start(live)
    return worker.follow(live.hub, "upgrade", lambda _: None)


def newest(live: Live) -> Snapshot:
    return snapshot.read(snapshot.find(live.source.backups, None))


def installing(live: Live) -> int:
    """Begin an upgrade and wait until its installer runs; return its process."""
    (live.hub.root / "srv" / "wait").touch()
    start(live)
    until(lambda: "Setting up TLJH 2.0.0" in _texts(live))
    return int(journal.read(live.hub, "upgrade")[0]["pid"])


def _texts(live: Live) -> list[str]:
    return [event.get("text", "") for event in journal.read(live.hub, "upgrade")]


def go_on(live: Live) -> None:
    (live.hub.root / "srv" / "wait").unlink()


def test_an_upgrade_brings_what_was_asked_and_keeps_its_guarantees(backed_up: Live) -> None:
    live = backed_up
    proxy = live.source.services.pid(services.PROXY)
    end = upgraded(live)
    assert end["error"] is None
    report = end["report"]
    assert versions.installed(live.hub).rows()["TLJH"] == "2.0.0"
    assert changes.software(live.source) == []
    assert ["TLJH", "1.0.0", "2.0.0"] in report["changes"]
    assert ["limits.cpu", "unset", "2"] in report["changes"]
    assert broken_or_unseen(report) == set()
    assert {each["name"]: each["failed"] for each in report["outages"]}.keys() == {
        "hub",
        "proxy",
        "server of alice",
    }
    assert config.read(live.hub)["limits.memory"] == "1G"
    assert live.server.poll() is None
    assert live.source.services.pid(services.PROXY) != proxy


def test_the_report_lies_with_the_snapshot_and_can_be_proved_later(
    backed_up: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    live = backed_up
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
    end = upgraded(live)
    kept = newest(live)
    data = kept.reports / f"upgrade-{end['report']['at']}.json"
    page = data.with_suffix(".html")
    assert {*kept.reports.iterdir()} == {data, page}
    assert end["report"]["page"] == str(page)
    assert [stat.S_IMODE(path.stat().st_mode) for path in (data, page)] == [0o600, 0o600]
    shown = page.read_text(encoding="utf-8")
    assert all(
        told in shown for told in ("server of alice", "Install", "Not measured: logins, images.")
    )
    assert snapshot.verify(kept.path) == kept
    report = verification.prove(live.source)
    assert report
    verification.require_kept(report.verdicts)
    homes = live.hub.root / "home"
    (homes / "bob" / "lesson.ipynb").unlink()  # as bob may
    told = verification.prove(live.source)
    assert told
    verification.require_kept(told.verdicts)
    (homes / "bob").rename(homes / "robert")
    later = verification.prove(live.source)
    assert later
    with pytest.raises(GuaranteeBroken, match="user data"):
        verification.require_kept(later.verdicts)
    data.unlink()
    with pytest.raises(SnapshotMissing):
        verification.prove(live.source)


def test_when_everything_is_as_asked_nothing_is_changed_or_restarted(backed_up: Live) -> None:
    live = backed_up
    assert upgraded(live)["report"]["changed"] is True
    pids = [live.source.services.pid(name) for name in (services.HUB, services.PROXY)]
    before = hub_folder.contents(live.hub.prefix)
    end = upgraded(live)
    assert (end["code"], end["report"]["changed"]) == (0, False)
    assert [live.source.services.pid(name) for name in (services.HUB, services.PROXY)] == pids
    assert hub_folder.contents(live.hub.prefix) == before


def test_without_a_fresh_snapshot_nothing_is_changed(live: Live) -> None:
    before = hub_folder.contents(live.hub.prefix)
    assert upgraded(live)["code"] == SnapshotMissing.code
    made = capture.create(live.source, components.every())
    hours_ago = time.strftime(manifest.CREATED, time.gmtime(time.time() - 7200))
    age(made, hours_ago)
    end = upgraded(live)
    assert end["code"] == SnapshotStale.code
    assert "120 minutes old" in end["error"]["message"]
    assert hub_folder.contents(live.hub.prefix) == before


def age(made: Snapshot, created: str) -> None:
    """Seal a snapshot again, as of another time."""
    import hashlib

    older = replace(made.manifest, created=created)
    data = older.to_bytes()
    (made.path / manifest.NAME).write_bytes(data)
    sums = manifest.sums(manifest.sealed(older, hashlib.sha256(data).hexdigest()))
    (made.path / manifest.SUMS).write_bytes(sums)


def test_an_installer_that_fails_is_told_with_its_last_words(backed_up: Live) -> None:
    live = backed_up
    (live.hub.root / "srv" / "fail").touch()
    (live.hub.config / "config.yaml.lock").touch(0o600)  # who writes the settings leaves it
    before = hub_folder.contents(live.hub.prefix)
    end = upgraded(live)
    assert end["code"] == UpgradeRolledBack.code
    assert "The network is away" in end["error"]["message"]
    assert hub_folder.without_retained(live.hub) == before
    assert "The network is away" in (live.hub.work / "installer.log").read_text()
    (live.hub.root / "srv" / "fail").unlink()
    assert upgraded(live)["code"] == 0


def test_without_an_installer_nothing_is_changed(backed_up: Live) -> None:
    live = backed_up
    (live.hub.root / "srv" / "tljh-installer.py").unlink()
    before = hub_folder.contents(live.hub.prefix)
    assert upgraded(live)["code"] == ToolMissing.code
    assert hub_folder.contents(live.hub.prefix) == before


def test_a_hub_that_is_unhealthy_afterwards_is_told(backed_up: Live) -> None:
    live = backed_up
    settings = live.hub.settings_file.read_text()
    live.hub.settings_file.write_text(settings.replace("within: 20", "within: 1"))
    installing(live)
    live.answer("/hub/api/", 502)
    go_on(live)
    end = worker.follow(live.hub, "upgrade", lambda _: None)
    assert end["code"] == HubUnhealthy.code


def test_a_guarantee_that_breaks_is_told_by_name(backed_up: Live) -> None:
    live = backed_up
    installing(live)
    (live.hub.root / "home" / "bob").rename(live.hub.root / "home" / "robert")
    go_on(live)
    end = worker.follow(live.hub, "upgrade", lambda _: None)
    assert end["code"] == GuaranteeBroken.code
    assert broken_or_unseen(end["report"]) == {"user data"}


def test_a_server_that_is_away_meanwhile_is_counted(backed_up: Live) -> None:
    live = backed_up
    installing(live)
    live.answer("/user/alice/api", 503)
    time.sleep(0.5)  # that long it is away
    live.answer("/user/alice/api", 200)
    go_on(live)
    end = worker.follow(live.hub, "upgrade", lambda _: None)
    outages = {each["name"]: each for each in end["report"]["outages"]}
    assert outages["server of alice"]["away"] >= 0.3
    assert outages["server of alice"]["failed"] >= 1


def test_a_killed_upgrade_is_told_as_cut_off_and_can_be_run_again(backed_up: Live) -> None:
    live = backed_up
    pid = installing(live)
    os.kill(pid, signal.SIGKILL)
    until(lambda: processes.started(pid) is None)
    with pytest.raises(Busy):  # its installer goes on, and none may begin beside it
        worker.start(live.source, "upgrade", ["true"])
    with pytest.raises(RunCutOff) as told:
        worker.follow(live.hub, "upgrade", lambda _: None, explain=cut_off.explain)
    assert "Wait until TLJH's installer has ended" in told.value.hint
    go_on(live)
    until(lambda: not lock.held(live.hub))
    assert versions.installed(live.hub).rows()["TLJH"] == "2.0.0"
    with pytest.raises(RunCutOff):
        worker.follow(live.hub, "upgrade", lambda _: None)
    with pytest.raises(RunCutOff, match="was cut off"):
        verification.prove(live.source)
    with pytest.raises(RunCutOff, match="did not come to its end: it was swapping"):
        checks.run(live.source)
    assert upgraded(live)["error"] is None
    assert "Roll the upgrade back" in _texts(live)


def test_a_terminated_upgrade_has_no_end_either(backed_up: Live) -> None:
    live = backed_up
    os.kill(installing(live), signal.SIGTERM)
    go_on(live)
    until(lambda: not lock.held(live.hub))
    assert journal.state(live.hub, "upgrade")["end"] is None


def test_after_a_failed_upgrade_there_is_nothing_to_prove(backed_up: Live) -> None:
    live = backed_up
    (live.hub.root / "srv" / "fail").touch()
    upgraded(live)
    with pytest.raises(RunCutOff, match="The network is away"):
        verification.prove(live.source)


def test_a_sick_hub_is_told_even_when_nothing_is_to_be_done(backed_up: Live) -> None:
    live = backed_up
    assert upgraded(live)["code"] == 0
    live.answer("/hub/api/", 502)
    assert upgraded(live)["code"] == HubUnhealthy.code


def test_an_upgrade_that_was_cut_off_is_rolled_back_first(backed_up: Live) -> None:
    """Versions alone tell nothing: the installer puts them in first."""
    live = backed_up
    (live.hub.config / "config.yaml.lock").touch(0o600)
    before = hub_folder.contents(live.hub.prefix)
    os.kill(installing(live), signal.SIGKILL)
    go_on(live)
    until(lambda: not lock.held(live.hub))
    assert changes.software(live.source) == []
    resumed(live)
    assert hub_folder.without_retained(live.hub) == before
    end = upgraded(live)
    assert (end["code"], end["report"]["changed"]) == (0, True)
    assert ["TLJH", "1.0.0", "2.0.0"] in end["report"]["changes"]
    assert upgraded(live)["report"]["changed"] is False


def resumed(live: Live) -> None:
    """Bring an upgrade to its end as an administrator does, or the server when it starts."""
    resume(live)
    assert state_file.read(live.hub) is None


def test_an_installer_that_knows_no_versions_is_refused(backed_up: Live) -> None:
    live = backed_up
    (live.hub.root / "srv" / "tljh-installer.py").write_text("install('main')\n")
    before = hub_folder.contents(live.hub.prefix)
    end = upgraded(live)
    assert (end["code"], "too old" in end["error"]["message"]) == (ToolMissing.code, True)
    assert hub_folder.contents(live.hub.prefix) == before


def test_while_an_upgrade_runs_the_hub_is_not_judged(backed_up: Live) -> None:
    live = backed_up
    installing(live)
    with pytest.raises(Busy, match="runs now"):
        checks.run(live.source)
    go_on(live)
    worker.follow(live.hub, "upgrade", lambda _: None)
    assert checks.run(live.source)


def test_a_backup_is_not_told_as_an_upgrade(backed_up: Live) -> None:
    live = backed_up
    os.kill(installing(live), signal.SIGKILL)
    go_on(live)
    until(lambda: not lock.held(live.hub))
    with lock.hold(live.hub, "the backup"):
        assert journal.state(live.hub, "upgrade")["running"] is False


def test_an_upgrade_outlives_the_terminal_that_began_it(backed_up: Live) -> None:
    live = backed_up
    (live.hub.root / "srv" / "wait").touch()
    command = [sys.executable, "-m", "tljh_runbook", "upgrade", "--hub", str(live.hub.prefix)]
    with subprocess.Popen(command, start_new_session=True, stdout=subprocess.DEVNULL) as terminal:
        until(lambda: "Setting up TLJH 2.0.0" in _texts(live))
        os.killpg(terminal.pid, signal.SIGHUP)
        terminal.wait()
    assert processes.started(int(journal.read(live.hub, "upgrade")[0]["pid"]))
    go_on(live)
    assert worker.follow(live.hub, "upgrade", lambda _: None)["code"] == 0


def test_a_program_that_ends_at_once_is_told_as_cut_off(live: Live) -> None:
    with pytest.raises(RunCutOff) as told:
        worker.start(live.source, "upgrade", ["sh", "-c", "echo no such option >&2; exit 2"])
    assert str(worker.log_file(live.hub, "upgrade")) in told.value.hint
    assert worker.log_file(live.hub, "upgrade").read_text() == "no such option\n"
