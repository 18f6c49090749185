"""Whose doing it was: an upgrade answers for what it did, and for nothing else."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import hub_folder
import pytest
from docker_fixtures import Engine, environment
from hub_fixtures import HUB_COMMAND, Live, free_port, until
from hub_folder import change

from tljh_runbook.errors import HubUnhealthy
from tljh_runbook.hub.context import Source
from tljh_runbook.hub.health import health
from tljh_runbook.hub.servers import ends
from tljh_runbook.hub.servers.probe import targets
from tljh_runbook.hub.servers.watch import Seen, Watch
from tljh_runbook.hub.system import http_client, processes, services
from tljh_runbook.hub.upgrade import guarantees, verification
from tljh_runbook.hub.upgrade.guarantees import FIRST, Verdict

HUB = "jupyterhub.sqlite"
NAME = "user servers"


@pytest.fixture
def server(live: Live) -> Iterator[subprocess.Popen[bytes]]:
    """The server of alice, a process that a test may end."""
    with subprocess.Popen(["sleep", "1000"]) as process:
        state = json.dumps({"pid": process.pid})
        change(live.hub.state / HUB, "UPDATE spawners SET state = ?", (state,))
        yield process
        process.kill()


def stop(live: Live, moment: float | None = None) -> None:
    """Do what JupyterHub does to its database when it stops a server."""
    told = datetime.fromtimestamp(moment or time.time(), timezone.utc).replace(tzinfo=None)
    stopped = "UPDATE spawners SET server_id = NULL, state = '{}', last_activity = ?"
    change(live.hub.state / HUB, stopped, (str(told),))


def verdict(live: Live, before: dict[str, Any], seen: Seen | None) -> Verdict:
    """Judge user servers as an upgrade does; what was measured was on the disk meanwhile."""
    after = guarantees.measure(live.source)
    found = guarantees.investigate(json.loads(json.dumps(before)), live.source, seen)
    return {each.guarantee: each for each in guarantees.judge(found, after)}[NAME]


def end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()


def test_a_server_that_was_stopped_before_the_swap_was_left(
    live: Live, server: subprocess.Popen[bytes]
) -> None:
    before = guarantees.measure(live.source)
    stop(live)
    end(server)
    before = guarantees.when_stopped(before, {"jupyterhub": live.hub.state / HUB})
    told = verdict(live, before, Seen(time.time(), ((0.0, 9.0),), {"alice": 1.0}))
    assert (told.kept, told.measured) == (True, "0 of 1 run on; alice: stopped before the swap")


@pytest.mark.parametrize(("moment", "kept"), [(0.5, True), (5.0, False), (9.5, True)])
def test_only_a_server_that_ended_while_the_hub_was_down_is_lost(
    live: Live, server: subprocess.Popen[bytes], moment: float, kept: bool
) -> None:
    before = guarantees.measure(live.source)
    stop(live)
    end(server)
    told = verdict(live, before, Seen(time.time(), ((1.0, 9.0),), {"alice": moment}))
    assert told.kept is kept
    assert told.measured == (
        "0 of 1 run on; alice: was stopped, or ended on its own"
        if kept
        else f"alice: its process {server.pid} ended while the hub was down"
    )


def test_a_server_that_its_user_has_started_again_is_no_loss(
    live: Live, server: subprocess.Popen[bytes]
) -> None:
    before = guarantees.measure(live.source)
    end(server)
    with subprocess.Popen(["sleep", "1000"]) as another:
        state = json.dumps({"pid": another.pid})
        change(live.hub.state / HUB, "UPDATE spawners SET state = ?", (state,))
        told = verdict(live, before, Seen(time.time(), ((1.0, 9.0),), {"alice": 9.5}))
        another.kill()
    assert told.kept is True
    assert told.measured.endswith("alice: was stopped, or ended on its own and started again")


def test_a_server_that_runs_on_and_that_the_hub_has_forgotten_is_lost(
    live: Live, server: subprocess.Popen[bytes]
) -> None:
    before = guarantees.measure(live.source)
    stop(live)
    told = verdict(live, before, Seen(time.time(), ((1.0, 9.0),)))
    assert (told.kept, told.measured) == (
        False,
        f"alice: its process {server.pid} runs on, but the hub no longer knows it",
    )


def test_a_server_that_the_hub_gives_up_at_its_start_is_lost(
    live: Live, server: subprocess.Popen[bytes]
) -> None:
    log = live.hub.root / "var" / "log" / "jupyterhub.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    began, late = time.time(), Seen(time.time(), ((1.0, 9.0),), {"alice": 30.0})
    moment = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(began))
    before = guarantees.measure(live.source)
    stop(live)
    end(server)
    old = f"[E {time.strftime('%Y-%m-%d', time.localtime(began - 86400))} 12:00:00.000 JupyterHub"
    told = "alice does not appear to be running at http://127.0.0.1:1/, shutting it down."
    log.write_text(f"{old} app:1] {told}\n")
    assert verdict(live, before, late).kept is True  # that was another day
    log.write_text(f"[E {moment}.123 JupyterHub app:2770] {told}\n")
    assert verdict(live, before, late).measured == (
        "alice: the hub did not find it where it looked, and stopped it"
    )


@pytest.mark.parametrize("order", [("stop", "start"), ("start", "stop")])
def test_a_server_that_the_hub_was_stopping_when_it_was_stopped_is_no_loss(
    live: Live, server: subprocess.Popen[bytes], order: tuple[str, str]
) -> None:
    began, before = time.time(), guarantees.measure(live.source)
    moment = time.strftime("%Y-%m-%d %H:%M:%S")
    lines = {
        "stop": "proxy:357] Removing user alice from proxy (/user/alice/)",
        "start": "app:3343] Running JupyterHub version 5.5.4",
    }
    log = live.hub.root / "var" / "log" / "jupyterhub.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text("".join(f"[I {moment}.123 JupyterHub {lines[each]}\n" for each in order))
    stop(live)
    end(server)
    told = verdict(live, before, Seen(began, ((1.0, 9.0),), {"alice": 5.0}))
    assert told.kept is (order[0] == "stop")
    if told.kept:
        assert told.measured == "0 of 1 run on; alice: was being stopped when the hub was"


def test_a_server_that_had_not_yet_answered_is_no_loss(
    live: Live, server: subprocess.Popen[bytes]
) -> None:
    live.answer("/user/alice/api", 503)
    before = guarantees.measure(live.source)
    end(server)
    told = verdict(live, before, Seen(time.time(), ((1.0, 9.0),), {"alice": 5.0}))
    assert (told.kept, told.measured) == (True, "0 of 1 run on; alice: had not yet answered")


def test_the_hub_s_words_of_servers_that_it_gives_up_are_understood() -> None:
    lines = [
        "[E 2026-11-30 16:03:22.123 JupyterHub app:2770] bob:two does not appear to be running at "
        "http://127.0.0.1:4000/user/bob/two/, shutting it down.",
        "[E 2026-11-30 16:03:22.123 JupyterHub app:2760] Failed to poll spawner for carol, assuming"
        " the spawner is not running.",
        "[W 2026-11-30 16:03:22.123 JupyterHub app:2790] dave appears to have stopped while the Hub"
        " was down",
    ]
    assert set(ends._given_up(lines)) == {"bob/two", "carol"}
    stops = [
        "[I 2026-11-30 16:03:22.123 JupyterHub proxy:357] Removing user eve from proxy "
        "(/user/eve/)",
        "[I 2026-11-30 16:03:22.123 JupyterHub proxy:357] Removing user j@x from proxy "
        "(/hub1/user/j@x/n%C3%A4chste/)",
        "[I 2026-11-30 16:03:22.123 JupyterHub proxy:325] Removing service plasma from proxy",
    ]
    assert set(ends._stopping(stops)) == {"eve", "j@x/nächste"}


@pytest.mark.parametrize(("after_the_start", "kept"), [(20.0, True), (-20.0, False)])
def test_without_a_process_the_moment_of_the_stop_tells(
    live: Live, after_the_start: float, kept: bool
) -> None:
    change(live.hub.state / HUB, 'UPDATE spawners SET state = \'{"container_id": "c0ffee"}\'')
    before = guarantees.measure(live.source)
    began = time.time()
    stop(live, began + 30 + after_the_start)
    told = verdict(live, before, Seen(began, ((1.0, 30.0),)))
    assert told.kept is kept
    if not kept:
        assert told.measured == "alice: the hub stopped it when it started"


def test_a_server_that_does_not_answer_itself_has_no_lost_route(live: Live) -> None:
    own, port = live.hub.root / "answers-of-alice.json", free_port()
    own.write_text(json.dumps({"/user/alice/api": [200, "{}"]}))
    command = [sys.executable, str(live.hub.root / "proxy.py"), str(port), str(own), "127.0.0.1"]
    with subprocess.Popen(command) as process:
        until(lambda: http_client.get(f"http://127.0.0.1:{port}/user/alice/api").ok)
        change(live.hub.state / HUB, "UPDATE servers SET ip = '127.0.0.1', port = ?", (port,))
        state = json.dumps({"pid": process.pid})
        change(live.hub.state / HUB, "UPDATE spawners SET state = ?", (state,))
        before = guarantees.measure(live.source)
        assert before[NAME]["alice"]["itself"] is True
        live.answer("/user/alice/api", 503)
        lost = verdict(live, before, None)
        own.write_text("{}")
        stuck = verdict(live, before, None)
        process.kill()
    assert (lost.kept, lost.measured) == (
        False,
        "alice: does not answer through the proxy any more",
    )
    assert (stuck.kept, stuck.measured) == (True, "0 of 1 run on; alice: does not answer itself")


LAST_WORDS = {
    "[I 2026-11-30 16:03:22,123 {pid}] Shutting down on /api/shutdown request.": "its user shut it"
    " down",
    "[I 2026-11-30 16:03:22,123 {pid}] No kernels for 600 seconds; shutting down.": "it had no"
    " kernels",
    "[C 2026-11-30 16:03:22,123 {pid}] received signal 15, stopping": "",
    "[I 2026-11-30 16:03:22,123 1] Shutting down on /api/shutdown request.": "",
}


@pytest.mark.parametrize("words", LAST_WORDS)
def test_of_a_plain_process_its_own_last_words_tell(
    live: Live, server: subprocess.Popen[bytes], words: str
) -> None:
    before = guarantees.measure(live.source)
    log = live.hub.root / "var" / "log" / "servers.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text("\xff\n" + words.format(pid=server.pid) + "\n", encoding="latin-1")
    stop(live)
    end(server)
    told = verdict(live, before, Seen(time.time(), ((1.0, 9.0),), {"alice": 5.0}))
    why = LAST_WORDS[words]
    assert told.kept is bool(why)
    if why:
        assert told.measured == f"0 of 1 run on; alice: ended on its own ({why})"


@pytest.mark.parametrize("known", [False, True], ids=["the hub has looked", "it has not yet"])
def test_a_resumed_upgrade_does_not_wait_for_servers_that_a_reboot_ended(
    live: Live, server: subprocess.Popen[bytes], known: bool
) -> None:
    before = guarantees.measure(live.source)
    end(server)
    live.answer("/user/alice/api", 503)
    if not known:
        stop(live)
    upgrade = replace(live.source.settings.upgrade, healthy_within=60, healthy_for=0)
    source = replace(live.source, settings=replace(live.source.settings, upgrade=upgrade))
    began = time.monotonic()
    found = verification.wait(source, before)
    assert time.monotonic() - began < 30
    assert found[NAME]["alice"]["left"] == "was stopped, or ended on its own"


ENTRIES = {
    "own": [{"MESSAGE_ID": ends.SUCCEEDED}],
    "failed": [
        {"MESSAGE_ID": ends.EXITED, "EXIT_CODE": "exited", "EXIT_STATUS": "1"},
        {"MESSAGE_ID": "d9b373ed55a64feb8242e02dbe79a49c", "UNIT_RESULT": "exit-code"},
    ],
    "killed": [{"MESSAGE_ID": ends.EXITED, "EXIT_CODE": "killed", "EXIT_STATUS": "KILL"}],
    "stopped": [{"MESSAGE_ID": ends.STOPPING}, {"MESSAGE_ID": ends.SUCCEEDED}],
    "memory": [
        {"MESSAGE_ID": ends.OUT_OF_MEMORY},
        {"MESSAGE_ID": ends.EXITED, "EXIT_CODE": "killed", "EXIT_STATUS": "KILL"},
    ],
    "unknown": [],
}
TOLD = {
    "own": "exited with 0",
    "failed": "exited with 1",
    "killed": "",
    "stopped": "",
    "memory": "ran out of memory",
    "unknown": "",
}


@pytest.mark.parametrize("kind", ENTRIES)
def test_what_systemd_wrote_of_a_unit_s_end_is_understood(kind: str) -> None:
    assert ends.of_unit(ENTRIES[kind]) == TOLD[kind]


# As newer and older kernels write it.
OF_KERNEL = [
    "Memory cgroup out of memory: Killed process 4711 (jupyterhub-sing) total-vm:1053256kB, "
    "anon-rss:15892kB, file-rss:5632kB, shmem-rss:0kB, UID:1001 pgtables:72kB oom_score_adj:0",
    "Memory cgroup out of memory: Kill process 4711 (python3) score 1901 or sacrifice child",
]


@pytest.mark.parametrize("line", OF_KERNEL)
def test_the_kernel_tells_which_process_reached_its_limit_of_memory(line: str) -> None:
    other = line.replace("4711", "47110")
    assert ends.reached_its_limit(["usb 1-1: new device", line, other], 4711) is True
    assert ends.reached_its_limit([other], 4711) is None
    assert ends.reached_its_limit([line], None) is None


JOURNAL = """\
#!{python}
import json, sys
for each in {entries!r}.get(sys.argv[2], ()):
    print(json.dumps(each))
"""


@pytest.mark.parametrize(
    ("records", "told"),
    [
        (("killed", "Memory cgroup out"), "ran out of memory"),  # control groups of version 1
        (("memory", "Memory cgroup out"), "ran out of memory"),
        (("memory", "Out"), ""),  # of the whole server: the upgrade may have taken it
        (("memory", ""), "ran out of memory"),
        (("killed", ""), ""),
    ],
)
def test_systemd_and_the_kernel_tell_who_ran_out_of_memory(
    tmp_path: Path,
    source: Source,
    monkeypatch: pytest.MonkeyPatch,
    records: tuple[str, str],
    told: str,
) -> None:
    of_unit, of_kernel = records
    line = OF_KERNEL[0].replace("Memory cgroup out", of_kernel)
    entries = {
        "--unit=jupyter-alice.service": ENTRIES[of_unit],
        "_TRANSPORT=kernel": [{"MESSAGE": line}],
    }
    program = JOURNAL.format(python=sys.executable, entries=entries)
    hub_folder.keep(tmp_path / "bin" / "journalctl", program, 0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    killed = {"unit": "jupyter-alice", "pid": 4711}
    assert ends.own(killed, source.services, 1000.7) == told


@pytest.mark.parametrize(
    ("command", "kept"),
    [
        (["exec", "ID", "/bin/busybox", "kill", "-TERM", "1"], True),
        (["stop", "--time=1"], False),
        (["kill", "--signal=KILL"], False),
        (["rm", "--force"], False),
    ],
    ids=["own", "stopped", "killed", "removed"],
)
def test_of_a_container_that_ended_while_the_hub_was_down_docker_tells(
    live: Live, engine: Engine, busybox: dict[str, bytes], command: list[str], kept: bool
) -> None:
    engine.make({"course:1": environment("course:1")}, busybox)
    # A shell that ends when it is told to from within, as Jupyter does: "File > Shut down".
    script = "trap 'exit 0' TERM; while :; do /bin/busybox sleep 0.1; done"
    shell = ["/bin/busybox", "sh", "-c", script]
    made = engine.ask("run", "--detach", "--rm", "--network=none", "course:1", *shell)
    kept_state = json.dumps({"object_id": made})
    change(live.hub.state / HUB, "UPDATE spawners SET state = ?", (kept_state,))
    before = guarantees.measure(live.source)
    assert before[NAME]["alice"]["started"]
    began = time.time()
    words = [made if word == "ID" else word for word in command]
    engine.ask(*(words if made in words else [*words, made]))
    until(lambda: processes.started(before[NAME]["alice"]["pid"]) is None)
    stop(live)
    told = verdict(live, before, Seen(began, ((0.0, 99.0),), {"alice": 1.0}))
    assert told.kept is kept, told.measured
    assert ("ended on its own (exited with 0)" in told.measured) is kept


def test_a_watch_sees_when_a_server_ends_and_when_the_hub_is_down(
    live: Live, server: subprocess.Popen[bytes]
) -> None:
    servers = guarantees.measure(live.source)[NAME]
    with Watch(targets(live.source), servers) as watch:
        (hub,) = [each for each in watch.probe.outages if each.name == "hub"]
        until(lambda: hub.asked > 1)
        assert watch.seen().down == ()
        live.answer("/hub/health", 503)
        until(lambda: hub.failed)
        live.answer("/user/alice/api", 404)
        end(server)
        until(lambda: "alice" in watch.seen().ended)
        seen = watch.seen()
        assert seen.while_down(seen.ended["alice"])  # also before the hub is back
        live.answer("/hub/health", 200)
        until(lambda: hub.gaps)
        seen = watch.seen()
        assert seen.while_down(seen.ended["alice"])
        until(lambda: watch.probe.outages[-1].failed > 3)
    away = {each["name"]: each for each in watch.outages({"alice": {"left": "was stopped"}})}
    assert (away["server of alice"]["away"], away["server of alice"]["left"]) == (0, True)
    assert away["hub"]["away"] > 0
    kept = {each["name"]: each for each in watch.outages({"alice": {}})}
    assert kept["server of alice"]["away"] > 0


def test_rows_are_judged_by_the_first_look(live: Live) -> None:
    database = live.hub.state / HUB
    before = guarantees.measure(live.source)
    change(database, "INSERT INTO users (name, admin, cookie_id) VALUES ('erin', 0, 'x')")
    change(database, "DELETE FROM user_group_map WHERE user_id = 1")
    # Until the hub is stopped all that is its users' doing.
    before = guarantees.when_stopped(before, {"jupyterhub": database})
    change(database, "INSERT INTO user_group_map VALUES (3, 1)")  # as an OAuth login does
    first = guarantees.look(live.source, guarantees.HUB)
    change(database, "DELETE FROM user_group_map WHERE user_id = 2")
    change(database, "DELETE FROM users WHERE name = 'erin'")
    text = live.hub.config_file.read_text()
    live.hub.config_file.write_text(text.replace("memory: '1G'", "memory: '4G'"))
    verdicts = {
        each.guarantee: each
        for each in guarantees.judge(before | {FIRST: first}, guarantees.measure(live.source))
    }
    assert (verdicts["users and groups"].kept, verdicts["users and groups"].measured) == (
        True,
        "4 users, 1 admin, 1 group; carol is new in the group course; "
        "since then: user erin is gone, bob is no longer in the group course",
    )
    assert verdicts["settings"].kept is True
    assert verdicts["settings"].measured.endswith("since then: somebody has edited limits.memory")
    lost = guarantees.judge(before, guarantees.measure(live.source))  # at the first look
    assert {each.guarantee for each in lost if each.kept is False} >= {
        "users and groups",
        "settings",
    }


def test_a_hub_that_has_only_just_started_has_not_stayed_up(live: Live) -> None:
    wanted = replace(live.source.settings.upgrade, healthy_for=3, healthy_within=20)
    manager = live.source.services
    manager.restart(services.HUB)
    began = time.monotonic()
    health.stay(live.hub, manager, wanted)
    assert time.monotonic() - began >= 2.0
    assert processes.age(manager.pid(services.HUB) or 0) >= 3


SERVICE = """
import os, subprocess, sys, time
while True:
    environment = os.environ | {"JUPYTERHUB_SERVICE_NAME": "cull-idle"}
    subprocess.run(["sleep", "0.4"], env=environment)
"""


# As JupyterHub 5 starts a service that has pages: ten tries of one second, and it ends with it.
DYING = """
import os, pathlib, subprocess, sys, time
service = subprocess.Popen(["sleep", "0.5"], env=os.environ | {"JUPYTERHUB_SERVICE_NAME": "plasma"})
for _ in range(10):
    time.sleep(1)
    if service.poll() is not None:
        log = pathlib.Path("../../../var/log/jupyterhub.log")
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text("[C 2026-11-30 20:14:44 JupyterHub app:3667] Service plasma exited with 1")
        sys.exit(1)
"""


def run_as_hub(live: Live, code: str) -> None:
    """Have another program run in the place of the hub."""
    supervisor = live.hub.root / "etc" / "supervisor" / "supervisord.conf"
    program = live.hub.root / "looping.py"
    program.write_text(code)
    manager = live.source.services
    manager.stop(services.HUB)
    text = supervisor.read_text()
    supervisor.write_text(
        text.replace(f"command = {HUB_COMMAND}", f"command = {sys.executable} {program}")
    )
    manager.reload()
    manager.start(services.HUB)


def test_a_service_that_takes_the_hub_with_it_is_the_cause(live: Live) -> None:
    """The proxy and the users' servers answer all the while."""
    run_as_hub(live, DYING)
    wanted = replace(live.source.settings.upgrade, healthy_for=3, healthy_within=30)
    with pytest.raises(HubUnhealthy) as told:
        health.stay(live.hub, live.source.services, wanted)
    assert "Its log says: Service plasma exited with 1." in told.value.message


def test_a_service_that_dies_again_and_again_is_not_healthy(live: Live) -> None:
    run_as_hub(live, SERVICE)
    manager = live.source.services
    wanted = replace(live.source.settings.upgrade, healthy_for=2, healthy_within=4)
    with pytest.raises(HubUnhealthy, match="cull-idle does not stay up"):
        health.stay(live.hub, manager, wanted)
    # One that did so before is no fault of the upgrade.
    unsteady = health.unsteady(manager, 2)
    assert unsteady == ["cull-idle"]
    health.stay(live.hub, manager, wanted, unsteady)


def test_the_journal_is_read_from_the_second_in_which_it_began(
    tmp_path: Path, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    """journalctl takes whole seconds: what was written in the same second must not be missed."""
    asked = tmp_path / "asked"
    program = f'#!/bin/sh\nprintf "%s\\n" "$@" >{asked}\n'
    hub_folder.keep(tmp_path / "bin" / "journalctl", program, 0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    assert ends.own({"unit": "jupyter-alice"}, source.services, 1000.7) == ""
    assert "--since=@1000" in asked.read_text().splitlines()
