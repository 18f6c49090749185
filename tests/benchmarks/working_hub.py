"""A real small hub with users at work, and how long whatever is done to it keeps them waiting."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import releases
from visitor import Visitor
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection

from tljh_runbook.hub.servers.probe import Probe, Target
from tljh_runbook.sandbox import build, record, servers
from tljh_runbook.sandbox.layout import Layout, layout
from tljh_runbook.sandbox.progress import Progress

TOOL = Path(sys.executable).with_name("tljh-runbook")
PATIENCE = 300  # seconds
# What the hub's log says of a start: it answers between the two, and starts its services.
STARTS, STARTED = "Running JupyterHub version", "JupyterHub is now running"
SAVED = ("hub", "user", "state", "config")


@dataclass(frozen=True)
class Cost:
    """What was seen while something was done to a hub; times are in seconds."""

    seconds: float
    away: float
    """From the last answer of the login page before to the first one after."""
    failed: int
    """How many questions to users' servers were not answered."""
    closed: int
    """How many of the users' websockets were closed."""


class WorkingHub:
    """A sandbox that can be upgraded to one version, with the same proxy, and rolled back."""

    def __init__(self, place: Layout) -> None:
        self.place = place
        self.record = build.up(place, Progress())
        self.commit = releases.tljh(place)
        releases.ask(place, tljh=self.commit)
        self._save()

    def cost(self, action: Callable[[], object]) -> Cost:
        """Do something to the hub, wait until it is back, and return what that cost users."""
        with ExitStack() as stack:
            sockets = [stack.enter_context(self._socket(name)) for name in servers.WORKING]
            return measured(self._addresses(), sockets, action, self.wait)

    def restart(self) -> None:
        """Restart the hub, and nothing but it, as an administrator types it."""
        self._systemctl("restart", "jupyterhub")

    def tool(self, *words: str) -> dict[str, Any]:
        """Run the tool; return what it reports. Fails where it fails."""
        command = [str(TOOL), *words, "--json", "--hub", str(self.place.prefix)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"{' '.join(words)} failed: {done.stdout}{done.stderr}")
        report: dict[str, Any] = json.loads(done.stdout)
        return report

    def install(self) -> None:
        """Run TLJH's installer by itself, as its documentation says."""
        plugin = next(x for x in self.place.settings.read_text().splitlines() if "plasma @" in x)
        words = ["--version", self.commit, "--plugin", plugin.partition("- ")[2].strip('"')]
        path = os.pathsep.join([os.environ["PATH"], str(self.place.systemd.parent)])
        subprocess.run(
            [sys.executable, self.place.installer, *words],
            env={**os.environ, "PATH": path, "TLJH_INSTALL_PREFIX": str(self.place.prefix)},
            capture_output=True,
            check=True,
        )

    def put_back(self) -> None:
        """Bring the hub as it was first: nothing else takes TLJH's installer back."""
        with self._stopped():
            for name in SAVED:
                shutil.rmtree(self.place.prefix / name)
                _copy(self._saved / name, self.place.prefix / name)
            shutil.copyfile(self._saved / self.place.supervisor.name, self.place.supervisor)

    def wait(self) -> None:
        """Wait until the hub has wholly started: one that is still starting stops at once."""
        deadline = time.monotonic() + PATIENCE
        urls = [target.url for target in self._addresses().values()]
        while not (all(map(servers.answers, urls)) and self._started()):
            if time.monotonic() > deadline:
                raise SystemExit("the hub did not come back")
            time.sleep(0.1)

    def _started(self) -> bool:
        """Say whether the hub that answers has started its services, too."""
        told = [line for line in self._log() if STARTS in line or STARTED in line]
        return bool(told) and STARTED in told[-1]

    def _log(self) -> list[str]:
        return (self.place.logs / "jupyterhub.log").read_text(errors="replace").splitlines()

    @property
    def _saved(self) -> Path:
        return self.place.root / "saved"

    def _save(self) -> None:
        shutil.rmtree(self._saved, ignore_errors=True)
        self._saved.mkdir()
        with self._stopped():
            for name in SAVED:
                _copy(self.place.prefix / name, self._saved / name)
            shutil.copyfile(self.place.supervisor, self._saved / self.place.supervisor.name)

    @contextmanager
    def _stopped(self) -> Iterator[None]:
        self._systemctl("stop", "jupyterhub", "traefik")
        yield
        self._systemctl("daemon-reload")
        self._systemctl("start", "traefik", "jupyterhub")
        self.wait()

    def _addresses(self) -> dict[str, Target]:
        pages = {"hub": "hub/login", **{name: f"user/{name}/api" for name in servers.WORKING}}
        return {name: Target(f"{self.record.address}/{page}") for name, page in pages.items()}

    def _socket(self, name: str) -> ClientConnection:
        visitor = Visitor(self.record.address, name, self.record.password)
        visitor.log_in()
        return visitor.websocket(visitor.token())

    def _systemctl(self, *words: str) -> None:
        subprocess.run([self.place.systemctl, *words], check=True)


def measured(
    targets: Mapping[str, Target],
    sockets: list[ClientConnection],
    action: Callable[[], object],
    wait: Callable[[], None],
) -> Cost:
    """Do something to a hub, wait until it is back, and return what that cost; the hub is first."""
    with Probe(dict(targets)) as probe:
        begun = time.monotonic()
        action()
        seconds = time.monotonic() - begun
        wait()
    closed = sum(not answers(socket) for socket in sockets)
    hub, *users = probe.outages
    return Cost(seconds, hub.away, sum(each.failed for each in users), closed)


def answers(socket: ClientConnection) -> bool:
    """Say whether a websocket is open still."""
    try:
        return socket.ping().wait(timeout=30)
    except ConnectionClosed:
        return False


def _copy(origin: Path, target: Path) -> None:
    subprocess.run(["cp", "--archive", "--", origin, target], check=True)


@contextmanager
def working(folder: Path) -> Iterator[WorkingHub]:
    """Build a hub with users at work; take it down at the end."""
    place = layout(folder)
    place.root.mkdir(parents=True, exist_ok=True)
    with record.locked(place):
        try:
            yield WorkingHub(place)
        finally:
            build.down(place)
