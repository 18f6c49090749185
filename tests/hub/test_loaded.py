"""The configuration as it loads: which file breaks it, and what it sets, wherever that is set."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import hub_folder
import pytest
from hub_fixtures import Live, living, until

from tljh_runbook.errors import ConfigBroken
from tljh_runbook.hub.context import Source
from tljh_runbook.hub.health import endpoint, health, loaded
from tljh_runbook.hub.servers import probe
from tljh_runbook.hub.system import child
from tljh_runbook.hub.upgrade.check import checks

# As TLJH's: it loads every file of the administrator's folder.
TLJH = """
import pathlib
import types
c = types.SimpleNamespace(JupyterHub=app)
for file in sorted(pathlib.Path({folder!r}).glob("*.py")):
    exec(compile(file.read_text(), str(file), "exec"), {{"c": c}})
"""
APP = """
import pathlib

class JupyterHub:
    authenticator_class = spawner_class = proxy_class = object
    base_url = "/"

    def load_config_file(self, path):
        exec(pathlib.Path(path).read_text(), {"app": self})
"""
# JupyterHub as it listens with `hub_ip = "::"`: Tornado binds IPv6 alone.
ON_IPV6 = """
import http.server, socket, sys

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(302)
        self.send_header("Location", "/classes/hub/")
        self.end_headers()

class Server(http.server.HTTPServer):
    address_family = socket.AF_INET6

    def server_bind(self):
        self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        super().server_bind()

Server(("::", 0), Handler).serve_forever()
"""


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with living(tmp_path_factory.mktemp("loaded") / "server") as made:
        (site,) = made.hub.environment.glob(f"lib/python3.{sys.version_info.minor}/site-packages")
        folder = made.hub.config / "jupyterhub_config.d"
        hub_folder.keep(site / "jupyterhub" / "app.py", APP, 0o644)
        hub_folder.keep(
            site / "tljh" / "jupyterhub_config.py", TLJH.format(folder=str(folder)), 0o644
        )
        (folder / "extra.py").unlink()
        yield made


@pytest.fixture
def own(shared: Live) -> Iterator[Path]:
    """An administrator's own file."""
    file = shared.hub.config / "jupyterhub_config.d" / "own.py"
    hub_folder.keep(file, "", 0o600)
    yield file
    file.unlink()


def present(source: Source) -> loaded.Loaded:
    found = loaded.present(source)
    if "mount" in found.unknown:
        pytest.skip(found.unknown)
    return found


@pytest.mark.parametrize(
    ("text", "line", "cause"),
    [
        ("\n\nc.JupyterHub.port = prot\n", 3, "NameError: name 'prot' is not defined"),
        ("c.JupyterHub.port =\n", 1, "SyntaxError: invalid syntax"),
        ("\nimport no_such_plugin\n", 2, "ModuleNotFoundError: No module named 'no_such_plugin'"),
        ("open('/nowhere/key')\n", 1, "FileNotFoundError: [Errno 2]"),
    ],
)
def test_check_names_the_file_and_the_line_that_breaks_the_configuration(
    shared: Live, own: Path, text: str, line: int, cause: str
) -> None:
    own.write_text(text)
    present(shared.source)
    (found,) = [each for each in checks.run(shared.source) if each.name == "configuration"]
    assert isinstance(found.error, ConfigBroken)
    assert f"does not load: {own}, line {line}: {cause}" in found.error.message


def test_loading_it_changes_nothing_of_the_hub(shared: Live, own: Path) -> None:
    written = shared.hub.state / "written"
    home = Path(shared.source.settings.homes) / "written"
    own.write_text(f"open({str(written)!r}, 'w').close()\n")
    assert present(shared.source).wrong == ""
    assert not written.exists()
    own.write_text(f"open({str(home)!r}, 'w').close()\n")
    assert "Read-only file system" in present(shared.source).wrong
    assert not list(shared.hub.work.glob("view-*"))


def test_a_configuration_that_hangs_is_ended_with_all_that_it_started(
    shared: Live, own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(child, "DEADLINE", 3)
    pid = shared.hub.root / "pid"
    own.write_text(
        "import subprocess\n"
        f"with open({str(pid)!r}, 'w') as file:\n"
        "    file.write(str(subprocess.Popen(['sleep', '1000']).pid))\n"
        "subprocess.run(['sleep', '1000'])\n"
    )
    began = time.monotonic()
    assert present(shared.source).wrong == "it did not load within 3 s"
    assert time.monotonic() - began < 20
    until(lambda: not Path(f"/proc/{pid.read_text()}").exists())


def test_a_configuration_that_prints_without_end_is_ended(
    shared: Live, own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(child, "LIMIT", 1 << 16)
    own.write_text("while True: print('x' * 100)\n")
    assert present(shared.source).wrong.startswith("xxx")


def test_a_hub_without_its_python_is_not_loaded(source: Source) -> None:
    found = loaded.present(source)
    assert (found.base_url, found.wrong) == ("", "")
    assert "has no tljh/jupyterhub_config.py" in found.unknown


def test_a_hub_that_does_not_run_is_where_its_configuration_says(shared: Live, own: Path) -> None:
    own.write_text("c.JupyterHub.base_url = '/classes/'\n")
    present(shared.source)
    # `sleep` is the hub here: it runs, and tells nothing.
    assert probe.targets(shared.source)["hub"].url == (
        f"http://127.0.0.1:{shared.port}/classes/hub/health"
    )


def test_a_proxy_that_does_not_run_is_where_its_own_file_says(source: Source) -> None:
    by_hand = '[entryPoints.http]\naddress = "127.0.0.1:8123"\n'
    hub_folder.keep(source.hub.state / "traefik.toml", by_hand, 0o600)
    assert endpoint.found(source).url("hub/") == "http://127.0.0.1:8123/hub/"
    hub_folder.keep(source.hub.state / "traefik.toml", by_hand.replace("127.0.0.1", ""), 0o600)
    assert endpoint.found(source).url("hub/") == "http://127.0.0.1:8123/hub/"
    hub_folder.keep(source.hub.state / "traefik.toml", by_hand.replace("127.0.0.1", "[::1]"), 0o600)
    assert endpoint.found(source).url("hub/") == "http://[::1]:8123/hub/"


def test_a_hub_on_ipv6_alone_tells_its_base_url(tmp_path: Path) -> None:
    hub_folder.keep(tmp_path / "hub.py", ON_IPV6, 0o644)
    with living(tmp_path / "server", hub_command=f"{sys.executable} {tmp_path}/hub.py") as made:
        for path, body in (("hub/api/", '{"version": "5.5.4"}'), ("hub/login", "<form>")):
            made.answer(f"/{path}", 404)
            made.answer(f"/classes/{path}", 200, body)
        until(lambda: health.look(made.hub, made.source.services).healthy)


@pytest.mark.parametrize("name", ["state", "config"])
def test_a_linked_folder_is_covered_too(shared: Live, own: Path, name: str) -> None:
    folder = shared.hub.prefix / name
    apart = shared.hub.root / "srv" / name
    os.rename(folder, apart)  # noqa: PTH104
    folder.symlink_to(apart)
    try:
        own.write_text(f"open({str(folder / 'written')!r}, 'w').close()\n")
        assert present(shared.source).wrong == ""
        assert not (apart / "written").exists()
    finally:
        folder.unlink()
        os.rename(apart, folder)  # noqa: PTH104
