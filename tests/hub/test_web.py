"""What is asked over HTTP: one connection that lasts, and answers that are not to be trusted."""

from __future__ import annotations

import http.server
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import ClassVar

import pytest
from hub_fixtures import free_port

from tljh_runbook.hub.system import http_client


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers each path with its status, and tells how often it was connected to."""

    protocol_version = "HTTP/1.1"
    connections: ClassVar[list[object]] = []
    answers: ClassVar[dict[str, tuple[int, str]]] = {}

    def setup(self) -> None:
        self.connections.append(self.client_address)
        super().setup()

    def do_GET(self) -> None:
        status, location = self.answers.get(self.path, (404, ""))
        body = b"x" * (http_client.LIMIT + 1 if self.path == "/long" else 2)
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        if location:
            self.send_header("Location", location)
        self.end_headers()
        self.wfile.write(body)
        # It is idle now, and closed as a proxy does that stops: without a word about it.
        self.close_connection = self.path == "/leaves"

    def log_message(self, *arguments: object) -> None:
        pass


@contextmanager
def serving(
    answers: dict[str, tuple[int, str]], *, port: int = 0, tls: ssl.SSLContext | None = None
) -> Iterator[type[Handler]]:
    class Own(Handler):
        connections: ClassVar[list[object]] = []

    Own.answers = answers
    server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Own)
    server.daemon_threads = True
    if tls:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield Own
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> ssl.SSLContext:
    """What a hub has whose certificate nobody signed, in another name than that which is asked."""
    folder = tmp_path_factory.mktemp("tls")
    key, certificate = folder / "key.pem", folder / "cert.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    names = ["-subj", "/CN=hub.example.org", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run([*command, *names], check=True, capture_output=True)
    return served_with(certificate, key)


def served_with(certificate: Path, key: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context


def test_one_connection_serves_all_questions() -> None:
    port = free_port()
    with serving({"/api": (200, ""), "/none": (404, "")}, port=port) as server:
        with closing(http_client.Line(f"http://127.0.0.1:{port}/api")) as line:
            assert [line.ask().status for _ in range(5)] == [200] * 5
        assert len(server.connections) == 1


def test_a_connection_that_was_closed_meanwhile_is_opened_again() -> None:
    port = free_port()
    with serving({"/leaves": (200, "")}, port=port) as server:
        with closing(http_client.Line(f"http://127.0.0.1:{port}/leaves")) as line:
            assert [line.ask().status for _ in range(3)] == [200] * 3
        assert len(server.connections) == 3


def test_who_is_away_is_no_answer_and_one_that_is_back_is_asked_anew() -> None:
    port = free_port()
    with closing(http_client.Line(f"http://127.0.0.1:{port}/api", timeout=5)) as line:
        seen = [line.ask().status]
        for _ in range(2):
            with serving({"/api": (200, "")}, port=port):
                seen.append(line.ask().status)
            line.close()  # its thread serves on where a process would have died
            seen.append(line.ask().status)
    assert seen == [0, 200, 0, 200, 0]


def test_an_answer_longer_than_is_read_does_not_stand_in_the_way_of_the_next() -> None:
    port = free_port()
    with serving({"/long": (200, "")}, port=port) as server:
        with closing(http_client.Line(f"http://127.0.0.1:{port}/long")) as line:
            assert [len(line.ask().body) for _ in range(2)] == [http_client.LIMIT] * 2
        assert len(server.connections) == 2


def test_a_certificate_that_nobody_signed_is_no_reason_to_call_a_hub_away(
    tls: ssl.SSLContext,
) -> None:
    port = free_port()
    with serving({"/hub/health": (200, "")}, port=port, tls=tls) as server:
        with closing(http_client.Line(f"https://127.0.0.1:{port}/hub/health")) as line:
            assert [line.ask().status for _ in range(3)] == [200] * 3
        assert len(server.connections) == 1


SLOW: dict[str, tuple[bytes, bytes]] = {  # what is sent at once, then again and again
    "status": (b"", b"H"),
    "headers": (b"HTTP/1.1 200 OK\r\n", b"X-Slow: 1\r\n"),
    "one header": (b"HTTP/1.1 200 OK\r\nX-Slow: ", b"x"),
    "body": (b"HTTP/1.1 200 OK\r\nContent-Length: 4000\r\n\r\n", b"x"),
    "chunks": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
    "endless": (b"HTTP/1.1 200 OK\r\n\r\n", b"x"),
    "early news": (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
}


@pytest.mark.parametrize("way", SLOW)
def test_a_slow_answer_ends_at_the_deadline(way: str) -> None:
    """One byte now and then never lets a single read time out."""
    at_once, again = SLOW[way]
    stop = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]

        def serve() -> None:
            connection, _ = listening.accept()
            with connection, suppress(OSError):
                connection.sendall(at_once)
                while not stop.wait(0.05):
                    connection.sendall(again)

        thread = threading.Thread(target=serve)
        thread.start()
        start = time.monotonic()
        answer = http_client.get(f"http://127.0.0.1:{port}/api", timeout=0.5)
        took = time.monotonic() - start
        stop.set()
        thread.join()
    assert (answer.status, answer.ok) == (0, False)
    assert 0.5 <= took < 5


def test_where_only_the_status_is_wanted_little_is_read() -> None:
    port = free_port()
    with serving({"/long": (200, "")}, port=port):
        answer = http_client.get(f"http://127.0.0.1:{port}/long", limit=http_client.SHORT)
    assert (answer.status, len(answer.body)) == (200, http_client.SHORT)


@pytest.mark.parametrize(
    "location",
    [
        "/hub/user/alice/api",
        "https://127.0.0.1:{secure}/user/alice/api",
        "http://127.0.0.1:{secure}/user/alice/api",
        "https://127.0.0.1:{secure}/hub/user/alice/api",
        "https://127.0.0.1:{secure}/user/alice/api?again=1",
        "//127.0.0.1:{secure}/user/alice/api",
    ],
)
def test_a_redirect_is_the_answer_and_not_followed(tls: ssl.SSLContext, location: str) -> None:
    """It may lead to another program of this machine, which may answer as the asked one does."""
    plain, secure = free_port(), free_port()
    answers = dict.fromkeys(
        ("/hub/user/alice/api", "/user/alice/api", "/user/alice/api?again=1"), (200, "")
    )
    moved = (302, location.format(secure=secure))
    with (
        serving({"/user/alice/api": moved}, port=plain),
        serving(answers, port=secure, tls=tls) as second,
    ):
        answer = http_client.get(f"http://127.0.0.1:{plain}/user/alice/api")
        assert (answer.status, answer.ok) == (302, False)
        assert not second.connections


HUB_SENDS = "/hub/services/plasma/?page=1"  # asked for a service to which the proxy has no way


@pytest.mark.parametrize(
    ("location", "there"),
    [
        (HUB_SENDS, False),
        (f"/base{HUB_SENDS}", False),
        (f"http://127.0.0.1{HUB_SENDS}", False),
        ("/hub/api/oauth2/authorize?redirect_uri=/services/plasma/oauth_callback", True),
        ("/hub/login?next=/hub/services/plasma/", True),
        ("/services/plasma/home", True),
        ("//[bad/hub/services/", True),
        ("", True),
    ],
)
def test_a_way_to_the_login_is_an_answer_and_the_hubs_own_way_is_none(
    location: str, *, there: bool
) -> None:
    port = free_port()
    with serving({"/services/plasma/": (302, location)}, port=port):
        assert http_client.get(f"http://127.0.0.1:{port}/services/plasma/").there is there


@pytest.mark.parametrize("location", ["https://[bad/api", "https://h:99999/api", "https://:1/api"])
def test_a_way_to_https_that_leads_nowhere_is_no_answer(location: str) -> None:
    port = free_port()
    with serving({"/api": (301, location)}, port=port):
        assert not http_client.get(f"http://127.0.0.1:{port}/api", timeout=2).ok
