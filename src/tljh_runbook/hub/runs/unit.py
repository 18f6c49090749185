"""The transient systemd unit of a run; it outlives the terminal, the login and the connection."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from tljh_runbook.errors import AccessDenied, Busy, ServicesUnreachable
from tljh_runbook.hub.core import files
from tljh_runbook.hub.core.layout import Hub
from tljh_runbook.hub.runs.journal import NAMES
from tljh_runbook.hub.system import services

GONE = {"inactive", "failed"}
# Variables of the terminal, login or unit that starts a run; they must not reach the run.
FOREIGN = re.compile(
    r"_|PWD|OLDPWD|SHLVL|TERM|COLUMNS|LINES|MAIL|DISPLAY|WINDOWID|DBUS_\w+|XDG_\w+|SSH_\w+|SUDO_\w+"
    r"|LISTEN_\w+|NOTIFY_SOCKET|WATCHDOG_\w+|INVOCATION_ID|JOURNAL_STREAM|MAINPID|SYSTEMD_\w+"
)
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# Unicode noncharacters: systemd would reject the whole file because of them.
NO_SIGNS = "".join(chr(plane << 16 | last) for plane in range(17) for last in (0xFFFE, 0xFFFF))
UNFIT = re.compile(f"[\ud800-\udfff\ufdd0-\ufdef{NO_SIGNS}]")
ESCAPED = re.compile(r'[\\"`$]')
AGAIN = 60  # seconds until a command that was killed is restarted
STOP = 180  # seconds that a run has to start the hub again when it is stopped
RESUME = 1800  # seconds that resuming an upgrade may take after it was killed


def make_way(task: str) -> None:
    """Make sure that a task's unit can be started; reset one that has failed.

    Raises `AccessDenied`, `Busy` if it is running, and `ServicesUnreachable` if systemd is not:
    without systemd, the run could not restart the hub either.
    """
    _require_root(task)
    found = _state(task)
    if found == "failed":
        services.systemctl("reset-failed", name(task))
    elif found != "inactive":
        raise _busy(task)


def name(task: str) -> str:
    """Return the name of the unit that a task runs in."""
    return f"tljh-runbook-run-{task}.service"


def start(
    hub: Hub, task: str, command: Sequence[str], log: Path, after: Sequence[str] = ()
) -> None:
    """Start ``command`` in its task's unit, with its output appended to the file ``log``.

    systemd runs ``after`` when the command has ended, even if it was killed. Raises `Busy`,
    `ServicesUnreachable`.
    """
    file = hub.work / f"{task}.env"
    file.unlink(missing_ok=True)  # left over if an earlier start was killed
    try:
        environment = os.environ | {"TLJH_INSTALL_PREFIX": str(hub.prefix)}
        files.write_new(file, environment_file(environment))
        _systemd_run(task, [*_options(task, file, log, after), "--", *_words(command)])
    finally:
        file.unlink(missing_ok=True)  # systemd has read it, and it may contain a password


def start_at(what: str, command: Sequence[str], moment: str, *, passed: bool) -> None:
    """Schedule ``command`` for a time (UTC, ISO 8601); start it now if that has ``passed``.

    systemd holds the timer, so no process of ours has to stay alive until then; a reboot cancels
    it. An existing timer is left unchanged. Raises `ServicesUnreachable`.
    """
    unit = f"tljh-runbook-{what}"
    active = ("show", "--property=ActiveState", "--value", f"{unit}.timer", f"{unit}.service")
    if set(services.systemctl(*active).split()) - GONE:
        return
    calendar = moment.replace("T", " ").replace("Z", " UTC")
    when = [] if passed else [f"--on-calendar={calendar}", "--timer-property=AccuracySec=1s"]
    # Restart the command if it is killed while it waits.
    again = ["--property=Restart=on-failure", f"--property=RestartSec={AGAIN}"]
    options = [f"--unit={unit}", "--collect", "--quiet", "--no-ask-password", *when, *again]
    _systemd_run("rollback", [*options, "--", *_words(command)])


def runs(task: str) -> bool:
    """Return whether a task's unit exists and has not ended."""
    return _state(task) not in GONE


def environment_file(environment: Mapping[str, str]) -> bytes:
    """Return an environment file for systemd, without the variables of the terminal or login.

    See systemd.exec(5), EnvironmentFile=.
    """
    kept = {key: value for key, value in environment.items() if _fits(key, value)}
    escaped = {key: ESCAPED.sub(r"\\\g<0>", value) for key, value in kept.items()}
    return "".join(f'{key}="{value}"\n' for key, value in escaped.items()).encode()


def _fits(key: str, value: str) -> bool:
    return bool(NAME.fullmatch(key)) and not FOREIGN.fullmatch(key) and not UNFIT.search(value)


def _require_root(task: str) -> None:
    task_name = NAMES[task]
    if os.geteuid() != 0:
        raise AccessDenied(
            f"Only root may start a unit of systemd, and the {task_name} needs one of its own. "
            "Nothing was changed.",
            hint="Run the same command as root (sudo).",
        )


def _busy(task: str) -> Busy:
    task_name = NAMES[task]
    return Busy(
        f"The unit {name(task)} runs already, so the {task_name} was not started. "
        "Nothing was changed.",
        hint=f"Wait until it has ended. To see what it does: tljh-runbook progress {task}",
    )


def _state(task: str) -> str:
    return services.systemctl("show", "--property=ActiveState", "--value", name(task))


def _options(task: str, file: Path, log: Path, after: Sequence[str]) -> list[str]:
    properties = {
        "Type": "exec",  # systemd-run then returns once the command runs, or could not be run
        # TLJH's installer finishes what it started when its run is killed, and holds the hub's lock
        # until then. A backup's child processes have nothing to finish.
        "KillMode": "control-group" if task == "backup" else "process",
        "OOMPolicy": "continue",  # the run itself reports what failed
        "TimeoutStopSec": str(RESUME if after else STOP),
        # The "-" ignores a missing file: systemd reads it again before it runs ExecStopPost=, when
        # the file has been removed.
        "EnvironmentFile": f"-{file}",
        "WorkingDirectory": str(_here()),  # arguments may be relative paths
        "StandardOutput": f"append:{log}",
        "StandardError": f"append:{log}",
    }
    if after:
        properties["ExecStopPost"] = " ".join(map(_quoted, _words(after)))
    return [
        f"--unit={name(task)}",
        f"--description=tljh-runbook {task}",
        "--collect",
        "--quiet",
        "--no-ask-password",
        *(f"--property={key}={value}" for key, value in properties.items()),
    ]


def _here() -> Path:
    try:
        return Path.cwd()
    except FileNotFoundError:  # the directory was removed
        return Path("/")


def _words(command: Sequence[str]) -> list[str]:
    """Return a command with "$" escaped in its arguments, where systemd expands variables."""
    program, *words = command
    return [program, *(word.replace("$", "$$") for word in words)]


def _quoted(word: str) -> str:
    """Quote a word for a systemd property: see systemd.service(5), Command lines."""
    return '"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _systemd_run(task: str, words: Sequence[str]) -> None:
    task_name = NAMES[task]
    try:
        subprocess.run(
            ["systemd-run", *words],
            env={**os.environ, "LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=True,
            timeout=services.WAIT,
        )
    except FileNotFoundError as error:
        raise ServicesUnreachable(
            f"There is no systemd-run on this machine, so the {task_name} was not started. "
            "Nothing was changed.",
            hint="It comes with systemd: sudo apt-get install systemd",
        ) from error
    except subprocess.SubprocessError as error:
        if runs(task):  # another run was faster
            raise _busy(task) from error
        output = getattr(error, "stderr", None) or str(error)
        raise ServicesUnreachable(
            f"systemd-run did not start the {task_name}: {str(output).strip()}. "
            "Nothing was changed.",
            hint=f"See what systemd says of it: journalctl -u {name(task)} -n 50",
        ) from error
