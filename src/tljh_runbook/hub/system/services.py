"""The hub's two services, under systemd on a server and under supervisor in a sandbox."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import quote

from tljh_runbook.errors import ServicesUnreachable
from tljh_runbook.hub.core.layout import Hub
from tljh_runbook.hub.core.settings import Settings
from tljh_runbook.hub.system import declared, timer
from tljh_runbook.hub.system.declared import Declared
from tljh_runbook.hub.system.timer import Timer

if TYPE_CHECKING:
    import configparser
    from xmlrpc.client import ServerProxy

HUB = "jupyterhub"
PROXY = "traefik"
# A program that supervisor does not know has the state '', and is not running either.
DOWN = {"STOPPED", "EXITED", "FATAL", ""}
BETWEEN = {"STARTING", "STOPPING"}
WAIT = 180  # seconds; the timeout of a service manager
GRACE = 1.0  # seconds to stop a proxy, which would wait 10 for its clients' connections


class Services(Protocol):
    """The service manager operations that the runbook needs."""

    stop_line: str
    start_line: str
    reload_line: str
    log_line: str
    servers_log: Path | None
    """The log of user servers that are plain processes; None if they log to the journal."""

    def pid(self, name: str) -> int | None:
        """Return the main PID of a service; None if it is not running."""

    def restart(self, name: str) -> None:
        """Restart a service and return once its process is running."""

    def end(self, name: str) -> None:
        """Stop a service as `stop` does, but kill it if it waits for its clients."""

    def stop(self, name: str) -> None:
        """Stop a service if it is running, and return once its process has ended."""

    def start(self, name: str) -> None:
        """Start a service if it is not running, and return once its process is running."""

    def declared(self, name: str) -> Declared:
        """Return what a service will be started with, whether it is running or not."""

    def reload(self) -> None:
        """Make the manager reload its configuration; running services are not affected."""

    def stale(self) -> bool:
        """Return whether a service's files have changed since the manager loaded them."""

    def timer(self, name: str) -> Timer:
        """Return the state of the timer ``name``, with its next and last run."""


class Systemd:
    """systemd, on a server."""

    stop_line = "systemctl stop jupyterhub.service traefik.service"
    start_line = "systemctl start traefik.service jupyterhub.service"
    reload_line = "systemctl daemon-reload"
    log_line = "journalctl -u jupyterhub -n 100"
    servers_log: Path | None = None

    def pid(self, name: str) -> int | None:
        pid = int(systemctl("show", "--property=MainPID", "--value", f"{name}.service") or 0)
        return pid or None

    def restart(self, name: str) -> None:
        systemctl("restart", f"{name}.service")

    def end(self, name: str) -> None:
        unit, pid = f"{name}.service", self.pid(name)
        systemctl("stop", "--no-block", unit)
        if pid and not _within(GRACE, lambda: self.pid(name) != pid):
            with suppress(ServicesUnreachable):  # it may have just ended
                systemctl("kill", "--kill-who=main", "--signal=KILL", unit)
        systemctl("stop", unit)

    def stop(self, name: str) -> None:
        systemctl("stop", f"{name}.service")

    def start(self, name: str) -> None:
        systemctl("start", f"{name}.service")

    def declared(self, name: str) -> Declared:
        wanted = ("WorkingDirectory", "Environment", "EnvironmentFiles")
        shown = systemctl("show", *(f"--property={each}" for each in wanted), f"{name}.service")
        return declared.of_systemd(shown)

    def reload(self) -> None:
        systemctl("daemon-reload")

    def stale(self) -> bool:
        units = [f"{name}.service" for name in (HUB, PROXY)]
        return "yes" in systemctl("show", "--property=NeedDaemonReload", "--value", *units)

    def timer(self, name: str) -> Timer:
        wanted = (f"--property={each}" for each in timer.SHOWN)
        return timer.of_systemd(systemctl("show", *wanted, f"{name}.timer"))


class Supervisor:
    """supervisor, in a sandbox, controlled over its XML-RPC interface."""

    def __init__(self, hub: Hub) -> None:
        self._file = hub.root / "etc" / "supervisor" / "supervisord.conf"
        program = Path(sys.executable).with_name("supervisorctl")
        command = str(program) if program.exists() else program.name
        control = shlex.join([command, "-c", str(self._file)])
        logs = hub.root / "var" / "log"
        self.log_line = shlex.join(["tail", "-n", "100", str(logs / "jupyterhub.log")])
        self.servers_log: Path | None = logs / "servers.log"
        self.stop_line = f"{control} stop jupyterhub traefik"
        self.start_line = f"{control} start traefik jupyterhub"
        self.reload_line = f"{control} reread"

    def pid(self, name: str) -> int | None:
        info = self._call("getProcessInfo", name)
        return info["pid"] if isinstance(info, dict) and info["statename"] == "RUNNING" else None

    def restart(self, name: str) -> None:
        self.stop(name)
        self.start(name)

    def stop(self, name: str) -> None:
        # A signal that arrives during startup is lost, so wait until the program has started.
        if self._settled(name) not in DOWN:
            self._call("stopProcess", name)

    def end(self, name: str) -> None:
        if self._settled(name) not in DOWN:
            self._call("stopProcess", name, False)
            if not _within(GRACE, lambda: self._state(name) in DOWN):
                self._call("signalProcess", name, "KILL")
            self._settled(name)

    def start(self, name: str) -> None:
        if self._settled(name) in DOWN:
            self._carry_out(f"startProcess for {name}", lambda server: _start_anew(server, name))

    def _settled(self, name: str) -> str:
        """Return a program's state once it is no longer starting or stopping."""
        deadline = time.monotonic() + WAIT
        while (state := self._state(name)) in BETWEEN and time.monotonic() < deadline:
            time.sleep(0.1)
        return state

    def declared(self, name: str) -> Declared:
        return declared.of_supervisor(self._settings()[f"program:{name}"])

    def reload(self) -> None:
        self._call("reloadConfig")

    def stale(self) -> bool:
        return False  # supervisor does not record that

    def timer(self, name: str) -> Timer:
        del name
        return timer.NONE

    def _state(self, name: str) -> str:
        found = self._call("getAllProcessInfo")
        states = {each["name"]: each["statename"] for each in found}
        return str(states.get(name, ""))

    def _call(self, method: str, *arguments: str | bool) -> Any:
        what = " for ".join([method, *(str(each) for each in arguments[:1])])
        return self._carry_out(what, lambda server: getattr(server.supervisor, method)(*arguments))

    def _carry_out(self, what: str, asked: Callable[[ServerProxy], Any]) -> Any:
        import configparser  # noqa: PLC0415 - slow to import, and never needed under systemd
        import http.client  # noqa: PLC0415
        import xml.parsers.expat  # noqa: PLC0415
        import xmlrpc.client  # noqa: PLC0415

        try:
            with xmlrpc.client.ServerProxy(self._address()) as server:
                result = asked(server)
        except (
            OSError,
            http.client.HTTPException,
            xml.parsers.expat.ExpatError,
            xmlrpc.client.Error,
            configparser.Error,
            KeyError,
        ) as error:
            # The URL contains a password, which must not appear in a message.
            reason = (
                error.faultString
                if isinstance(error, xmlrpc.client.Fault)
                else type(error).__name__
            )
            raise ServicesUnreachable(
                f"supervisor did not carry out {what}: {reason}.",
                hint="Is the sandbox up? ./invoke sandbox starts it again.",
            ) from None
        return result

    def _address(self) -> str:
        section = self._settings()["inet_http_server"]
        user, password = quote(section["username"], safe=""), quote(section["password"], safe="")
        return f"http://{user}:{password}@{section['port']}/RPC2"

    def _settings(self) -> configparser.RawConfigParser:
        import configparser  # noqa: PLC0415

        parser = configparser.RawConfigParser()
        parser.read_string(self._file.read_text(encoding="utf-8"))
        return parser


def _start_anew(server: ServerProxy, name: str) -> None:
    """Start a program with the configuration that supervisor read last, as systemd would.

    supervisor applies it only to newly added programs, so the program is removed and added again.
    One request does all of it, so that no other client finds the program missing.
    """
    methods = ("removeProcessGroup", "addProcessGroup", "startProcess")
    calls = [{"methodName": f"supervisor.{each}", "params": [name]} for each in methods]
    answers: Any = server.system.multicall(calls)
    if isinstance(answers[-1], dict):
        import xmlrpc.client  # noqa: PLC0415

        raise xmlrpc.client.Fault(**answers[-1])


def of(hub: Hub, settings: Settings) -> Services:
    """Return the service manager of a hub."""
    return Supervisor(hub) if settings.services == "supervisor" else Systemd()


def _within(seconds: float, condition: Callable[[], bool]) -> bool:
    """Wait until a condition is true; return whether it was within so many seconds."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def shutting_down() -> bool:
    """Return whether systemd is shutting down this server. Raises `ServicesUnreachable`."""
    return systemctl("show", "--property=SystemState", "--value") == "stopping"


def systemctl(*arguments: str) -> str:
    try:
        done = subprocess.run(
            ["systemctl", *arguments],
            capture_output=True,
            text=True,
            check=True,
            timeout=WAIT,
            env=os.environ | timer.UTC,
        )
    except FileNotFoundError as error:
        raise ServicesUnreachable(
            "This machine has no systemd, so it runs no TLJH hub.",
            hint="Run the command on the hub's own server.",
        ) from error
    except subprocess.SubprocessError as error:
        output = getattr(error, "stderr", None) or str(error)
        raise ServicesUnreachable(
            f"systemctl {' '.join(arguments)} failed: {str(output).strip()}",
            hint="Look at: systemctl status jupyterhub traefik; journalctl -u jupyterhub -n 50",
        ) from error
    return done.stdout.strip()
