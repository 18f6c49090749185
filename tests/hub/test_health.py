"""A hub is healthy when it answers as one, not when a port is open."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import hub_folder
import pytest
from hub_fixtures import Live, free_port, living, until

from tljh_runbook.errors import HubUnhealthy, ServicesUnreachable
from tljh_runbook.hub.context import Source
from tljh_runbook.hub.core import config
from tljh_runbook.hub.core.layout import Hub
from tljh_runbook.hub.health import health
from tljh_runbook.hub.system import http_client, processes, services
from tljh_runbook.hub.upgrade.check import checks


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with living(tmp_path_factory.mktemp("health") / "server") as made:
        yield made


@pytest.fixture
def live(shared: Live) -> Iterator[Live]:
    """One living hub for all tests here: what a test changes is put back."""
    files = [shared.hub.root / "answers.json", shared.hub.config_file]
    saved = [file.read_bytes() for file in files]
    yield shared
    for file, data in zip(files, saved, strict=True):
        file.write_bytes(data)


def wrong(live: Live) -> str:
    return "; ".join(health.look(live.hub, live.source.services).wrong)


def test_a_hub_that_answers_is_healthy(live: Live) -> None:
    seen = health.look(live.hub, live.source.services)
    assert (seen.healthy, seen.version, seen.wrong) == (True, "4.1.6", ())
    assert health.wait(live.hub, live.source.services, 20).pid == seen.pid


@pytest.mark.parametrize(
    ("path", "status", "body", "said"),
    [
        ("/hub/api/", 502, "", "the hub's API answers HTTP 502"),
        ("/hub/api/", 200, "<html>", "the hub's API answers HTTP 200"),
        ("/hub/api/", 200, "[]", "the hub's API answers HTTP 200"),
        ("/hub/login", 500, "", "the login page answers HTTP 500"),
        ("/hub/login", 302, "https://idp.example.org/authorize?state=1", ""),
        ("/hub/login", 302, "/hub/oauth_login?next=%2Fhub%2F", ""),
        ("/hub/login", 302, "/hub/login", "the login page leads in a circle"),
        ("/hub/login", 302, "/hub/", "the login page answers HTTP 404"),
        ("/hub/login", 401, "", ""),
        ("/hub/login", 403, "", ""),
        ("/hub/login", 404, "", "the login page answers HTTP 404"),
    ],
)
def test_what_does_not_answer_as_it_should_is_named(
    live: Live, path: str, status: int, body: str, said: str
) -> None:
    live.answer(path, status, body)
    assert wrong(live) == said


def test_a_hub_that_never_gets_healthy_is_told(live: Live) -> None:
    live.answer("/hub/api/", 502)
    with pytest.raises(HubUnhealthy, match="HTTP 502"):
        health.wait(live.hub, live.source.services, 1)


def test_a_port_where_nobody_listens_is_told(source: Source) -> None:
    seen = health.look(source.hub, source.services)
    assert len(seen.wrong) == 4
    assert "the service jupyterhub does not run" in seen.wrong
    assert "refused" in seen.wrong[2]


def test_a_broken_configuration_is_no_healthy_hub(live: Live) -> None:
    live.hub.config_file.write_text("[broken")
    assert "cannot be read" in wrong(live)


def test_a_restarted_service_is_another_process(live: Live) -> None:
    manager = live.source.services
    before = manager.pid(services.HUB)
    manager.restart(services.HUB)
    after = manager.pid(services.HUB)
    assert before
    assert after
    assert before != after
    assert processes.started(before) is None
    until(lambda: processes.working_directory(after) == live.hub.state)


def test_a_service_manager_that_is_gone_is_told_without_its_password(hub: Hub) -> None:
    file = hub.root / "etc" / "supervisor" / "supervisord.conf"
    lines = file.read_text().splitlines()
    port = next(line for line in lines if line.startswith("port"))
    password = next(line for line in lines if line.startswith("password")).split()[-1]
    file.write_text("\n".join(lines).replace(port, f"port = 127.0.0.1:{free_port()}"))
    with pytest.raises(ServicesUnreachable) as told:
        services.Supervisor(hub).pid(services.HUB)
    assert password not in told.value.message + told.value.hint
    file.unlink()
    with pytest.raises(ServicesUnreachable):
        services.Supervisor(hub).pid(services.HUB)


@contextmanager
def talking(answer: bytes) -> Iterator[int]:
    """A server that says ``answer`` to everybody and hangs up."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    client, _ = server.accept()
                except OSError:
                    return
                with client:
                    client.recv(4096)
                    client.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()


@pytest.mark.parametrize("answer", [b"", b"\0\xff garbage", b"HTTP/1.1 999 x\r\n\r\n"])
def test_a_server_that_speaks_no_http_is_no_answer_and_no_traceback(
    hub: Hub, answer: bytes
) -> None:
    with talking(answer) as port:
        assert not http_client.get(f"http://127.0.0.1:{port}/").ok
        file = hub.root / "etc" / "supervisor" / "supervisord.conf"
        lines = [
            f"port = 127.0.0.1:{port}" if line.startswith("port") else line
            for line in file.read_text().splitlines()
        ]
        file.write_text("\n".join(lines))
        with pytest.raises(ServicesUnreachable):
            services.Supervisor(hub).pid(services.HUB)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:1/", "http://:::80/", "http://a b/", "http://h:99999/", "http://a..b/",
            "http://[bad/", "https://127.0.0.1:1/"],
)  # fmt: skip
def test_an_address_that_cannot_be_asked_is_no_answer_and_no_traceback(url: str) -> None:
    answer = http_client.get(url, timeout=1)
    assert (answer.status, answer.ok) == (0, False)
    assert answer.body


def test_a_proxy_of_the_environment_is_not_asked(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_port()}")
    assert http_client.get(config.address(live.hub).url("hub/health")).ok


def test_every_check_is_made_whatever_the_others_found(source: Source) -> None:
    source.hub.config_file.write_text("[broken")
    (source.hub.state / "jupyterhub.sqlite").write_bytes(b"no database" * 100)
    found = {each.name: type(each.error).__name__ for each in checks.run(source)}
    assert list(found) == list(checks.CHECKS)
    assert found["configuration"] == "ConfigBroken"
    assert found["databases"] == "DatabaseMissing"
    assert found["hub"] == "ConfigBroken"  # the same, and said once
    assert found["installer"] == "ToolMissing"
    assert found["snapshot"] == "SnapshotMissing"


def test_a_hub_that_crashes_again_and_again_is_not_waited_for(live: Live) -> None:
    manager = live.source.services
    live.answer("/hub/api/", 502)
    crashing = threading.Event()

    def crash() -> None:
        while not crashing.wait(0.2):
            if pid := manager.pid(services.HUB):
                os.kill(pid, signal.SIGKILL)

    thread = threading.Thread(target=crash)
    thread.start()
    try:
        with pytest.raises(HubUnhealthy, match="it restarts again and again"):
            health.wait(live.hub, manager, 600)
    finally:
        crashing.set()
        thread.join()


def test_the_cause_in_the_hubs_log_is_named(live: Live) -> None:
    own = "/opt/tljh/config/jupyterhub_config.d/own.py"
    log = live.hub.root / "var" / "log" / "jupyterhub.log"
    said = (
        f'Traceback (most recent call last):\n  File "{own}", line 3, in <module>\nNameError: x\n'
    )
    hub_folder.keep(log, said, 0o600)
    live.answer("/hub/api/", 502)
    with pytest.raises(HubUnhealthy) as told:
        health.wait(live.hub, live.source.services, 0.1)
    assert f"Its log says: {own}, line 3: NameError: x." in told.value.message
    os.utime(log, (1, 1))
    with pytest.raises(HubUnhealthy) as told:
        health.wait(live.hub, live.source.services, 0.1)
    assert "Its log says" not in told.value.message


def test_a_cause_from_before_the_last_wait_is_named(live: Live) -> None:
    """A hub that restarts for a service's sake says so seconds before it is found down."""
    log = live.hub.root / "var" / "log" / "jupyterhub.log"
    said = "[C 2026-11-30 20:14:44 JupyterHub app:3675] Cannot connect to tljh_plasma\n"
    hub_folder.keep(log, said + 500 * "[I 2026-11-30 20:14:45 JupyterHub log:192] 200\n", 0o600)
    minute_ago = time.time() - 60
    os.utime(log, (minute_ago, minute_ago))
    live.answer("/hub/api/", 502)
    wanted = replace(live.source.settings.upgrade, healthy_for=1, healthy_within=1)
    with pytest.raises(HubUnhealthy) as told:
        health.stay(live.hub, live.source.services, wanted, (), time.monotonic() - 90)
    assert "Its log says: Cannot connect to tljh_plasma." in told.value.message
    assert "not healthy after 9" in told.value.message


def test_a_hub_that_starts_again_is_given_time_to_answer(live: Live) -> None:
    """It has a process long before it answers, on a busy server ten seconds before."""
    live.answer("/hub/api/", 502)
    wanted = replace(live.source.settings.upgrade, healthy_for=1, healthy_within=60)
    late = threading.Timer(2.5, live.answer, ("/hub/api/", 200, '{"version": "4.1.6"}'))
    late.start()
    try:
        health.stay(live.hub, live.source.services, wanted)
    finally:
        late.join()
