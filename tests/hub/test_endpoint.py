"""Where the hub answers is asked of what runs: the configuration may say it anywhere, or not."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import hub_folder
import pytest
from hub_fixtures import ANSWERS, Live, free_port, living, until

from tljh_runbook.hub.context import Source
from tljh_runbook.hub.core.address import Socket
from tljh_runbook.hub.health import endpoint, health
from tljh_runbook.hub.servers.probe import targets
from tljh_runbook.hub.system import processes, services

BASE = "/classes/jh/"
# As JupyterHub answers whoever asks for a page outside its base URL.
HUB = """\
import http.server, sys

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(302)
        self.send_header("Location", sys.argv[2] + "hub/")
        self.end_headers()

http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """A hub whose base URL and port are in none of its files."""
    root = tmp_path_factory.mktemp("endpoint")
    hub_folder.keep(root / "hub.py", HUB, 0o644)
    command = f"{sys.executable} {root}/hub.py {free_port()} {BASE}"
    with living(root / "server", hub_command=command) as made:
        hub_folder.write_config(made.hub, free_port())
        for path, (status, body) in ANSWERS.items():
            made.answer(f"{BASE}{path.lstrip('/')}", status, body)
            made.answer(path, 404)
        until(lambda: processes.listening(made.source.services.pid(services.HUB) or 0))
        yield made


def test_the_running_hub_and_proxy_say_where_they_answer(live: Live) -> None:
    found = endpoint.of(live.hub, live.source.services)
    assert found.url("hub/api/") == f"http://127.0.0.1:{live.port}{BASE}hub/api/"


def test_a_hub_is_healthy_wherever_its_address_is_set(live: Live) -> None:
    assert health.look(live.hub, live.source.services).wrong == ()


def test_what_is_probed_is_where_the_hub_answers(live: Live) -> None:
    assert targets(live.source)["hub"].url == f"http://127.0.0.1:{live.port}{BASE}hub/health"


def test_another_hub_at_the_configured_address_is_not_ours(live: Live, tmp_path: Path) -> None:
    with living(tmp_path / "other") as other:
        hub_folder.write_config(live.hub, other.port)
        assert endpoint.of(live.hub, live.source.services).port == live.port


def test_a_proxy_on_ipv6_alone_is_found(tmp_path: Path) -> None:
    with living(tmp_path / "server", "::1") as made:
        assert endpoint.of(made.hub, made.source.services).host == "[::1]"
        assert health.look(made.hub, made.source.services).healthy


def test_what_does_not_run_is_where_the_configuration_says(source: Source) -> None:
    found = endpoint.of(source.hub, source.services)
    assert found.url("hub/") == "http://127.0.0.1:9/hub/"


def test_the_kernel_says_where_a_process_listens() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as four,
        socket.create_server(("::1", 0), family=socket.AF_INET6) as six,
        socket.create_server(("", 0)) as everywhere,
        socket.create_connection(four.getsockname()),
    ):
        ports = [each.getsockname()[1] for each in (four, six, everywhere)]
        found = processes.listening(os.getpid())
    hosts = {each.port: each.host for each in found if each.port in ports}
    assert hosts == dict(zip(ports, ("127.0.0.1", "::1", "0.0.0.0"), strict=True))  # noqa: S104


def test_another_process_listens_elsewhere() -> None:
    with socket.create_server(("127.0.0.1", 0)), subprocess.Popen(["sleep", "60"]) as other:
        try:
            assert processes.listening(other.pid) == []
        finally:
            other.kill()


@pytest.mark.parametrize(
    ("host", "port", "covered"),
    [("127.0.0.1", 80, True), ("192.0.2.1", 80, True), ("::1", 80, True), ("127.0.0.1", 81, False)],
)
def test_what_listens_everywhere_is_reached_at_each_address(
    host: str, port: int, covered: bool
) -> None:
    assert Socket("::", 80).covers(Socket(host, port)) is covered
    assert not Socket("192.0.2.1", 80).covers(Socket("127.0.0.1", 80))
