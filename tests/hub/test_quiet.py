"""A quiet moment: no kernel computes, and no environment is built."""

from __future__ import annotations

import json
import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import hub_folder
import pytest
from docker_fixtures import Engine, environment
from hub_fixtures import SERVES, Cli, Live, until
from test_staging import PREPARING, everything, pids, prepared_beside, start, texts

from tljh_runbook.errors import HubUnhealthy, NotQuiet
from tljh_runbook.hub.runs import journal, worker
from tljh_runbook.hub.runs.journal import Journal
from tljh_runbook.hub.system import services
from tljh_runbook.hub.upgrade import quiet, state_file
from tljh_runbook.hub.upgrade.quiet import Window
from tljh_runbook.hub.upgrade.stage import stage
from tljh_runbook.hub.versions import versions

KERNELS = "/user/alice/api/kernels?no_track_activity=1"
BUSY = json.dumps([{"execution_state": state} for state in ("busy", "idle", "busy")])
HOSTILE = "mallory\x1b[2J[bold]"


@contextmanager
def served(live: Live, *, environment: dict[str, str]) -> Iterator[None]:
    """Let the server of alice be a process with this environment."""
    with subprocess.Popen(["sleep", "1000"], env=environment) as process:
        state = json.dumps({"pid": process.pid})
        database = live.hub.state / "jupyterhub.sqlite"
        hub_folder.change(database, "UPDATE spawners SET state = ?", (state,))
        try:
            yield
        finally:
            process.kill()


def test_a_kernel_that_computes_is_seen_and_an_idle_one_is_not(live: Live) -> None:
    assert quiet.at_work(live.source) == []
    live.answer(KERNELS, 200, BUSY)
    assert quiet.at_work(live.source) == ["alice (2 kernels at work)"]
    live.answer(KERNELS, 200, BUSY.replace("busy", "idle"))
    assert quiet.at_work(live.source) == []


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (500, "", "HTTP 500"),
        (200, "<html>", "does not answer as Jupyter does"),
        (200, '{"execution_state": "idle"}', "does not answer as Jupyter does"),
        (200, '[["execution_state"]]', "does not answer as Jupyter does"),
        (200, "[" * 100_000, "does not answer as Jupyter does"),
    ],
)
def test_a_server_that_does_not_tell_counts_as_one_at_work(
    live: Live, status: int, body: str, said: str
) -> None:
    live.answer(KERNELS, status, body)
    (found,) = quiet.at_work(live.source)
    assert found.startswith("alice (cannot be asked: ")
    assert said in found


def test_a_server_that_answers_too_slowly_holds_nothing_up(live: Live) -> None:
    live.answer(KERNELS, 200, "drip")
    assert quiet.at_work(live.source) == ["alice (cannot be asked: no answer in 5 seconds)"]


def test_only_the_process_that_serves_this_path_lends_its_token(live: Live) -> None:
    live.answer(KERNELS, 200, "[]")
    other = os.environ | SERVES | {"JUPYTERHUB_SERVICE_PREFIX": "/user/bob/"}
    with served(live, environment=other):
        (found,) = quiet.at_work(live.source)
    assert found == "alice (cannot be asked: its own token is not found)"


def test_a_token_that_the_server_does_not_take_is_told(live: Live) -> None:
    with served(live, environment=os.environ | SERVES | {"JUPYTERHUB_API_TOKEN": "of-eve"}):
        assert quiet.at_work(live.source) == ["alice (cannot be asked: HTTP 403)"]


def test_a_server_that_has_ended_is_nobody_at_work(live: Live) -> None:
    live.answer(KERNELS, 502, "")
    live.server.kill()
    live.server.wait()
    assert quiet.at_work(live.source) == []


def kept(live: Live, state: dict[str, str]) -> None:
    """Let this be all that the spawner keeps of the server of alice, which does not answer."""
    database = live.hub.state / "jupyterhub.sqlite"
    hub_folder.change(database, "UPDATE spawners SET state = ?", (json.dumps(state),))
    live.answer(KERNELS, 502)
    live.answer("/user/alice/api", 502)


def test_a_unit_that_has_ended_is_nobody_at_work(live: Live) -> None:
    kept(live, {"unit_name": services.HUB})  # any program that the service manager knows
    assert quiet.at_work(live.source) == ["alice (cannot be asked: its own token is not found)"]
    live.source.services.stop(services.HUB)
    assert quiet.at_work(live.source) == []


@pytest.mark.parametrize("end", [("stop", "--time=0"), ("rm", "--force")], ids=["stop", "remove"])
def test_a_container_that_has_ended_is_nobody_at_work(
    live: Live, engine: Engine, busybox: dict[str, bytes], end: tuple[str, ...]
) -> None:
    engine.make({"course:1": environment("course:1")}, busybox)
    made = engine.ask("run", "--detach", "--network=none", "course:1")
    kept(live, {"object_id": made})
    assert quiet.at_work(live.source) == ["alice (cannot be asked: its own token is not found)"]
    engine.ask(*end, made)
    assert quiet.at_work(live.source) == []


def test_a_container_of_another_engine_counts_as_long_as_it_answers(
    live: Live, engine: Engine
) -> None:
    del engine
    kept(live, {"object_id": "0" * 64})
    live.answer("/user/alice/api", 200)
    assert quiet.at_work(live.source) == ["alice (cannot be asked: its own token is not found)"]


def test_where_docker_does_not_answer_its_servers_count(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
    kept(live, {"object_id": "0" * 64})
    assert quiet.at_work(live.source) == ["alice (cannot be asked: its own token is not found)"]


def test_an_environment_that_is_built_is_seen(live: Live) -> None:
    hub_folder.write_build(live.hub, "9", "course:2", "building")
    assert quiet.at_work(live.source) == ["the build of course:2"]


def test_a_quiet_hub_is_not_waited_for_and_a_busy_one_until_the_limit(live: Live) -> None:
    with Journal(live.hub, "upgrade") as log:
        Window(live.source, log, 60).wait()
        assert texts(live) == []
        live.answer(KERNELS, 200, BUSY)
        Window(live.source, log, 0).wait()  # nobody has asked it to wait
        with pytest.raises(NotQuiet, match=r"alice \(2 kernels at work\).*Nothing live was"):
            Window(live.source, log, 0.1).wait()
        assert texts(live) == ["Wait for a quiet moment: alice (2 kernels at work)"]


def test_a_hub_that_breaks_while_it_is_waited_for_is_not_upgraded(live: Live) -> None:
    live.answer(KERNELS, 200, BUSY)
    with Journal(live.hub, "upgrade") as log:
        waiting = Window(live.source, log, 60)

        def breaks() -> None:
            until(lambda: texts(live))
            live.answer("/hub/api/", 502)
            live.answer(KERNELS, 200, "[]")

        ended = threading.Thread(target=breaks)
        ended.start()
        with pytest.raises(HubUnhealthy):
            waiting.wait()
        ended.join()


def test_a_hub_whose_python_was_gone_before_is_upgraded_after_a_wait(live: Live) -> None:
    live.hub.python.unlink()
    live.hub.python.symlink_to("/nowhere/python3")
    live.answer("/hub/api/", 502)
    live.answer(KERNELS, 200, BUSY)
    with Journal(live.hub, "upgrade") as log:

        def leaves() -> None:
            until(lambda: texts(live))
            live.answer(KERNELS, 200, "[]")

        ended = threading.Thread(target=leaves)
        ended.start()
        Window(live.source, log, 60).wait()
        ended.join()


@pytest.mark.parametrize("in_place", [False, True], ids=["beside", "in place"])
def test_an_upgrade_waits_before_anything_live_is_touched(live: Live, *, in_place: bool) -> None:
    prepared_beside(live)
    if in_place:
        text = live.hub.settings_file.read_text(encoding="utf-8")
        live.hub.settings_file.write_text(text.replace("in_place: false", "in_place: true"))
    live.answer(KERNELS, 200, BUSY)
    before, running = everything(live.hub), pids(live)
    start(live, "upgrade", "--when-quiet", "10")
    until(lambda: any(text.startswith("Wait for a quiet") for text in texts(live)))
    copied = f"{stage.FOLDER}/"
    now = {name: each for name, each in everything(live.hub).items() if copied not in name}
    assert (now, pids(live)) == (before, running)
    assert any(PREPARING in text for text in texts(live)) is not in_place
    hub_folder.distribution(live.hub, "numpy", "2.0.0")  # as somebody may, in an hour
    live.answer(KERNELS, 200, "[]")
    assert worker.follow(live.hub, "upgrade", lambda _: None)["code"] == 0
    assert any("Start again" in text for text in texts(live)) is not in_place
    found = versions.packages(live.hub)
    assert (found["the-littlest-jupyterhub"].version, found["numpy"].version) == ("2.0.0", "2.0.0")


def test_an_upgrade_that_is_stopped_while_it_waits_leaves_nothing(live: Live, cli: Cli) -> None:
    prepared_beside(live)
    text = live.hub.settings_file.read_text(encoding="utf-8")
    live.hub.settings_file.write_text(f"{text}  quiet_within: 10\n")
    live.answer(KERNELS, 200, BUSY)
    before = everything(live.hub)
    start(live, "upgrade")
    until(lambda: any(text.startswith("Wait for a quiet") for text in texts(live)))
    told = json.loads(cli("status", "--json", "--hub", live.hub.prefix).stdout)
    assert told["runs"][-1]["phase"] == "Wait for a quiet moment: alice (2 kernels at work)"
    os.kill(int(journal.read(live.hub, "upgrade")[0]["pid"]), 15)
    until(lambda: not journal.state(live.hub, "upgrade")["running"])
    assert cli("resume", "--hub", live.hub.prefix).returncode == 0
    assert everything(live.hub) == before
    assert state_file.read(live.hub) is None


def test_names_are_shown_as_what_they_are(live: Live, cli: Cli) -> None:
    database = live.hub.state / "jupyterhub.sqlite"
    hub_folder.change(database, "UPDATE users SET name = ? WHERE id = 1", (HOSTILE,))
    live.answer(KERNELS, 200, BUSY)
    prepared_beside(live)
    start(live, "upgrade", "--when-quiet", "10")
    until(lambda: any(HOSTILE in text for text in texts(live)))
    shown = cli("status", "--hub", live.hub.prefix).stdout
    assert "mallory\\x1b[2J[bold] (2 kernels at work)" in shown
    live.answer(KERNELS, 200, "[]")
    assert worker.follow(live.hub, "upgrade", lambda _: None)["code"] == 0


@pytest.mark.parametrize("minutes", ["-1", "soon"])
def test_what_is_no_time_is_refused(live: Live, cli: Cli, minutes: str) -> None:
    done = cli("upgrade", "--when-quiet", minutes, "--hub", live.hub.prefix)
    assert done.returncode == 2
    assert journal.read(live.hub, "upgrade") == []
