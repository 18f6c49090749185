"""A hub that is only a folder, a hub that lives under a real supervisor, and the command line."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hub_folder
import pytest
import quick_repository

import tljh_runbook
from tljh_runbook.errors import ServicesUnreachable, UpgradeRolledBack
from tljh_runbook.hub.context import Source
from tljh_runbook.hub.core import settings
from tljh_runbook.hub.core.layout import Hub
from tljh_runbook.hub.snapshots.restoration import Action
from tljh_runbook.hub.system import processes, services
from tljh_runbook.hub.upgrade import state_file

Cli = Callable[..., "subprocess.CompletedProcess[str]"]

SUPERVISOR = """\
[supervisord]
logfile = {root}/supervisord.log
pidfile = {root}/supervisord.pid
directory = {root}
{user}

[inet_http_server]
port = 127.0.0.1:{port}
username = runbook
password = {password}

[supervisorctl]
serverurl = http://127.0.0.1:{port}
username = runbook
password = {password}

[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface

[program:traefik]
command = {proxy}
directory = {state}
autostart = {autostart}
startsecs = 0
stopwaitsecs = 15
stdout_logfile = NONE
stderr_logfile = NONE

[program:jupyterhub]
command = {hub_command}
directory = {state}
environment = {environment}
autostart = {autostart}
startsecs = 0
stdout_logfile = NONE
stderr_logfile = NONE
"""

# A process in the place of the hub, and one in that of the culler it starts, which ends with it.
CULLER = "JUPYTERHUB_SERVICE_NAME=cull-idle setpriv --pdeathsig TERM sleep 1000"
HUB_COMMAND = f"sh -c '{CULLER} & exec sleep 1000'"

PROXY = '''
"""The proxy, the hub and the users' servers in one: answers what a file says, and 404 else."""

import contextlib
import http.server
import json
import os
import pathlib
import signal
import socket
import sys
import threading
import time


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        answers = json.loads(pathlib.Path(sys.argv[2]).read_text())
        status, body = answers.get(self.path, [404, "nothing here"])
        if "/api/kernels" in self.path and self.headers["Authorization"] != "token of-alice":
            status, body = 403, "who are you?"
        self.send_response(status)
        if 300 <= status < 400:
            self.send_header("Location", body)
        self.end_headers()
        if body == "drip":
            self.drip()
        self.wfile.write(body.encode())

    def drip(self):
        with contextlib.suppress(OSError):  # until whoever asked has enough of it
            while not time.sleep(0.2):
                self.wfile.write(b" ")

    def log_message(self, *arguments):
        pass


class Server(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6 if ":" in sys.argv[3] else socket.AF_INET


def end(*_):
    """Refuse new connections at once and wait up to ten seconds for open ones, as traefik does."""
    server.socket.close()
    deadline = time.monotonic() + 10
    while threading.active_count() > 1 and time.monotonic() < deadline:
        time.sleep(0.02)
    os._exit(0)


server = Server((sys.argv[3], int(sys.argv[1])), Handler)
signal.signal(signal.SIGTERM, end)
server.serve_forever()
'''

ANSWERS: dict[str, tuple[int, str]] = {
    "/hub/api/": (200, '{"version": "4.1.6"}'),
    "/hub/login": (200, "<form>"),
    "/hub/health": (200, ""),
    "/user/alice/api": (200, '{"version": "2.14"}'),
    "/user/alice/api/kernels?no_track_activity=1": (200, "[]"),
}
# As JupyterHub starts a user server.
SERVES = {"JUPYTERHUB_SERVICE_PREFIX": "/user/alice/", "JUPYTERHUB_API_TOKEN": "of-alice"}

# Does what TLJH's installer does to the files that the runbook looks at.
INSTALLER = '''
"""Install versions as asked, by writing what pip leaves of them."""

import os
import pathlib
import subprocess
import sys
import time

sys.path[:0] = {helpers!r}

import hub_folder
from tljh_runbook.hub.core.layout import Hub

hub = Hub(pathlib.Path(os.environ["TLJH_INSTALL_PREFIX"]))
version = sys.argv[sys.argv.index("--version") + 1]
print("Setting up TLJH", version, flush=True)
while (hub.root / "srv" / "wait").exists():
    time.sleep(0.05)
if (hub.root / "srv" / "fail").exists():
    print("ERROR: The network is away", flush=True)
    raise subprocess.CalledProcessError(1, ["pip", "install"])
if (hub.root / "srv" / "traefik.toml").exists():
    (hub.state / "traefik.toml").write_bytes((hub.root / "srv" / "traefik.toml").read_bytes())
site = hub.environment / "lib" / "python3.11" / "site-packages"
for name, group in (("the-littlest-jupyterhub", "console_scripts"), ("tljh-plasma", "tljh")):
    for info in site.glob(name.replace("-", "_") + "-*.dist-info"):
        for file in info.iterdir():
            file.unlink()
        info.rmdir()
    hub_folder.distribution(hub, name, version if group != "tljh" else "0.3.0", group=group)
print("Done!", flush=True)
'''


# What the runbook asks of the hub's own environment when it rehearses an upgrade.
JUPYTERHUB_APP = """
import pathlib


class JupyterHub:
    authenticator_class = spawner_class = proxy_class = object

    def load_config_file(self, path):
        exec(pathlib.Path(path).read_text())
"""
JUPYTERHUB_MAIN = """
import sqlite3
import sys

assert sys.argv[1] == "upgrade-db"
with sqlite3.connect("jupyterhub.sqlite") as database:
    database.execute("UPDATE alembic_version SET version_num = 'f460b0348206'")
"""
# What begins a configuration of which only the new version does the rest.
IF_NEW = """\
import importlib.metadata
if importlib.metadata.version("the-littlest-jupyterhub") == "2.0.0":
"""


def write_programs(hub: Hub) -> None:
    """Put in the hub's environment what a rehearsal runs."""
    number = ".".join(map(str, sys.version_info[:2]))
    site = hub.environment / "lib" / f"python{number}" / "site-packages"
    home = Path(sys.base_prefix) / "bin"
    hub_folder.keep(hub.environment / "pyvenv.cfg", f"home = {home}\nversion = {number}.2\n", 0o644)
    hub_folder.keep(site / "jupyterhub" / "app.py", JUPYTERHUB_APP, 0o644)
    hub_folder.keep(site / "jupyterhub" / "__main__.py", JUPYTERHUB_MAIN, 0o644)
    hub_folder.keep(site / "tljh" / "jupyterhub_config.py", "loaded = True\n", 0o644)


@dataclass
class Live:
    """A hub with both services running, and the server of alice."""

    hub: Hub
    port: int
    server: subprocess.Popen[bytes]

    @property
    def source(self) -> Source:
        found = settings.load(self.hub)
        return Source(self.hub, found, services.of(self.hub, found))

    def answer(self, path: str, status: int, body: str = "") -> None:
        """Have the proxy answer ``path`` so from now on."""
        file = self.hub.root / "answers.json"
        answers = json.loads(file.read_text(encoding="utf-8")) | {path: (status, body)}
        new = file.with_suffix(".new")
        new.write_text(json.dumps(answers), encoding="utf-8")
        new.replace(file)


def carry_out(actions: Sequence[Action]) -> None:
    """Do what a restore does: prepare all, carry out all, take away what is left beside."""
    for action in actions:
        action.prepare()
    for action in actions:
        action.carry_out()
    for action in actions:
        action.discard()


def until(condition: Callable[[], object], *, seconds: float = 30) -> None:
    """Wait until a condition holds; fail when it does not in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "this did not come about in time"
        time.sleep(0.01)


def broken_or_unseen(report: dict[str, Any]) -> set[str]:
    """Return the guarantees that did not hold.

    Where no engine runs, none can tell of images; a hub that is only a folder has no authenticator.
    """
    unseen = {(None, "images"), (None, "logins")}
    return {
        each["guarantee"]
        for each in report["verdicts"]
        if each["kept"] is not True and (each["kept"], each["guarantee"]) not in unseen
    }


def resume(live: Live, *words: str) -> None:
    """Resume an upgrade as an administrator types it; a rollback is told by the exit code."""
    left = state_file.read(live.hub)
    rolls_back = left is not None and left.rolls_back and "--at-boot" not in words
    command = [sys.executable, "-m", "tljh_runbook", "resume", *words]
    command += ["--hub", str(live.hub.prefix)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == (UpgradeRolledBack.code if rolls_back else 0), done.stderr


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@contextmanager
def supervisor(hub: Hub, **changes: object) -> Iterator[None]:
    """Run a real supervisor for a hub; its programs run when ``autostart`` is true."""
    configuration = hub.root / "etc" / "supervisor" / "supervisord.conf"
    values: dict[str, object] = {
        "root": hub.root,
        "user": "user = root" if os.geteuid() == 0 else "",
        "port": free_port(),
        "password": secrets.token_hex(8),
        "proxy": "sleep 1000",
        "hub_command": HUB_COMMAND,
        "state": hub.state,
        "environment": 'RUNBOOK_TEST="1"',
        "autostart": "true",
    }
    hub_folder.keep(configuration, SUPERVISOR.format(**(values | changes)), 0o600)
    command = [sys.executable, "-m", "supervisor.supervisord", "-n", "-c", str(configuration)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            until(lambda: _supervised(hub))
            if "autostart" not in changes:
                until(lambda: _runs_in(hub, changes.get("state", hub.state)))
            yield
        finally:
            process.terminate()


def _supervised(hub: Hub) -> bool:
    with suppress(ServicesUnreachable):
        services.Supervisor(hub).pid(services.HUB)
        return True
    return False


def _runs_in(hub: Hub, folder: object) -> bool:
    """Say whether the hub's process has got as far as its own working directory."""
    pid = services.Supervisor(hub).pid(services.HUB)
    return pid is not None and processes.working_directory(pid) == folder


@pytest.fixture(scope="session")
def stopped_services() -> Iterator[Path]:
    """A supervisor that knows both services and runs none; the folder of its settings."""
    with tempfile.TemporaryDirectory() as folder:
        hub = Hub(Path(folder) / "opt" / "tljh")
        hub.state.mkdir(parents=True)
        with supervisor(hub, autostart="false"):
            yield hub.root / "etc" / "supervisor"


@pytest.fixture(autouse=True)
def _local_git(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have git refuse the addresses of the internet where a hub is only a folder."""
    if request.path.parent.name in {"hub", "cli"}:
        monkeypatch.setenv("GIT_ALLOW_PROTOCOL", "file")


@pytest.fixture
def hub(tmp_path: Path, stopped_services: Path) -> Hub:
    """A folder that looks like a hub whose services are stopped."""
    made = hub_folder.build(tmp_path / "server")
    shutil.copytree(stopped_services, made.root / "etc" / "supervisor")
    configuration = made.root / "etc" / "supervisor" / "supervisord.conf"
    other = stopped_services.parents[1]
    text = configuration.read_text(encoding="utf-8").replace(str(other), str(made.root))
    configuration.write_text(text, encoding="utf-8")
    return made


@pytest.fixture
def repository_there(hub: Hub) -> None:
    """Give the hub a repository of user data that opens at once."""
    quick_repository.place(hub)


@pytest.fixture
def source(hub: Hub) -> Source:
    found = settings.load(hub)
    return Source(hub, found, services.of(hub, found))


@pytest.fixture
def live(tmp_path: Path) -> Iterator[Live]:
    """A small hub that lives: both services run, the server of alice answers."""
    with living(tmp_path / "server") as made:
        yield made


@contextmanager
def living(root: Path, host: str = "127.0.0.1", **changes: object) -> Iterator[Live]:
    port = free_port()
    hub = hub_folder.build(root, port=port)
    hub_folder.keep(root / "proxy.py", PROXY, 0o644)
    hub_folder.keep(root / "answers.json", json.dumps(ANSWERS), 0o644)
    # The installer runs under the bare Python, which does not know this project.
    helpers = [str(Path(__file__).parent), str(Path(tljh_runbook.__file__).parents[1])]
    hub_folder.keep(root / "srv" / "tljh-installer.py", INSTALLER.format(helpers=helpers), 0o755)
    hub.python.parent.mkdir()
    hub.python.symlink_to(sys.executable)
    write_programs(hub)
    name = f"[{host}]" if ":" in host else host
    proxy = f"{sys.executable} {root}/proxy.py {port} {root}/answers.json {host}"
    with subprocess.Popen(["sleep", "1000"], env=os.environ | SERVES) as server:
        try:
            hub_folder.write_server(hub, hub_folder.WORKS, server.pid)
            with supervisor(hub, proxy=proxy, **changes):
                until(lambda: _answers(f"http://{name}:{port}/hub/health"))
                yield Live(hub, port, server)
        finally:
            server.kill()


def _answers(url: str) -> bool:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with suppress(urllib.error.URLError, OSError), opener.open(url, timeout=5):
        return True
    return False


@pytest.fixture
def cli() -> Cli:
    """Run the real command in a process of its own."""

    def run(*arguments: object, **options: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "tljh_runbook", *map(str, arguments)]
        settings: dict[str, object] = {"capture_output": True, "text": True, "timeout": 120}
        done: subprocess.CompletedProcess[str] = subprocess.run(  # type: ignore[call-overload]
            command, check=False, **{**settings, **options}
        )
        return done

    return run


def as_ordinary_user(action: Callable[[], object]) -> str:
    """Return what ``action`` returns, or the name of its error, done without root's rights."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        _answer_and_leave(action, writing)
    os.close(writing)
    with os.fdopen(reading, encoding="utf-8") as answer:
        said = answer.read()
    os.waitpid(child, 0)
    return said


def _answer_and_leave(action: Callable[[], object], writing: int) -> None:
    try:
        if os.geteuid() == 0:
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
        said = str(action())
    except BaseException as error:  # noqa: BLE001 - it is told, and the child ends
        said = type(error).__name__
    os.write(writing, said.encode())
    os._exit(0)
