"""Installation of the target versions with the TLJH installer."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol, TextIO

from tljh_runbook.errors import InstallerFailed, ToolMissing
from tljh_runbook.hub.context import Source
from tljh_runbook.hub.core import disk, files
from tljh_runbook.hub.core.layout import Hub
from tljh_runbook.hub.software import port_80
from tljh_runbook.hub.system import cause
from tljh_runbook.hub.versions import interpreter, versions
from tljh_runbook.hub.versions.targets import SECURITY, TLJH_ADDRESS, Target

LOG = "installer.log"
PAUSE = 0.1  # seconds between reads of the installer's output
Say = Callable[[str], None]
TAIL = 200  # output lines that are searched for the cause of a failure


def script(source: Source) -> Path:
    """Return the installer's path. Raises `ToolMissing` if it is missing or too old."""
    path = Path(source.settings.upgrade.installer)
    if not path.is_file():
        raise ToolMissing(
            f"The TLJH installer is not at {path}. Nothing was changed.",
            hint="Put TLJH's bootstrap.py there, or set upgrade.installer in the settings file.",
        )
    if b"--version" not in files.read(path):
        raise ToolMissing(
            f"The TLJH installer in {path} is too old to install a given version. Nothing was "
            "changed.",
            hint="Put a newer bootstrap.py of TLJH there.",
        )
    return path


def run(source: Source, say: Say, stage: Elsewhere | None = None) -> bool:
    """Install the target version of every package, in a stage if one is given.

    Returns whether something was installed after the installer restarted the hub. Raises
    `InstallerFailed`.
    """
    targets = source.targets
    force([each.requirement for each in targets.plugins if each.hidden], source, say, stage)
    plugins = [each.requirement for each in targets.plugins]
    _installer(targets.tljh, plugins, source, say, stage)
    place = stage.copy if stage else source.hub
    if targets.tljh.commit and targets.tljh in targets.left(versions.packages(place)):
        # pip treats another commit of the same version as already installed.
        force([targets.tljh.requirement], source, say, stage)
        _installer(targets.tljh, plugins, source, say, stage)
    named = {targets.tljh, *targets.plugins}
    left = [
        each
        for each in targets.left(versions.packages(place))
        if each not in named and each.why != SECURITY
    ]
    for each in left:
        settle(each, source, say, stage)
    return bool(left)


def _installer(
    tljh: Target, plugins: Sequence[str], source: Source, say: Say, stage: Elsewhere | None
) -> None:
    """Run TLJH's installer for TLJH's target, which may be the installed version."""
    address = (tljh.source or "").removeprefix("git+")
    if address.startswith(TLJH_ADDRESS) or not (tljh.commit or tljh.kept):
        install(str(tljh.commit or tljh.version), plugins, source, say, stage)
        return
    _from_elsewhere(tljh.requirement, plugins, source, say, stage)


def install_recorded(requirement: str, plugins: Sequence[str], source: Source, say: Say) -> None:
    """Run TLJH's installer for the TLJH version that a snapshot recorded, and plugins.

    ``requirement`` is pip's: ``NAME==VERSION`` or ``NAME @ git+URL@COMMIT``. Raises
    `InstallerFailed`.
    """
    if reference := git_reference(requirement):
        install(reference, plugins, source, say)
    else:
        _from_elsewhere(requirement, plugins, source, say, None)


def git_reference(requirement: str) -> str:
    """Return the ``--version`` for TLJH's installer; '' for a TLJH from another repository."""
    place = requirement.partition(" @ ")[2].partition("#")[0]
    address, _, commit = place.removeprefix("git+").rpartition("@")
    if not place:
        return requirement.partition("==")[2]
    return commit if address.startswith(TLJH_ADDRESS) else ""


def _from_elsewhere(
    requirement: str, plugins: Sequence[str], source: Source, say: Say, stage: Elsewhere | None
) -> None:
    """Run TLJH's installer for a TLJH that is not from the installer's own repository."""
    say("running the TLJH installer")
    spec = {"TLJH_BOOTSTRAP_PIP_SPEC": requirement}
    with port_80.answered(source, staged=stage is not None):
        carry_out(source.hub, _command(source, plugins), say, stage, spec)


def settle(target: Target, source: Source, say: Say, stage: Elsewhere | None) -> None:
    """Install a package's target version if the installer has left it at another one."""
    if target.commit:
        force([target.requirement], source, say, stage)
        return
    say(f"installing {target.requirement}")
    pip = [str(source.hub.python), "-m", "pip", "install", "--no-input"]
    carry_out(source.hub, [*pip, target.requirement], say, stage)


def install(
    tljh: str, plugins: Sequence[str], source: Source, say: Say, stage: Elsewhere | None = None
) -> None:
    """Run TLJH's installer for a version of TLJH and plugins (pip requirements).

    Raises `InstallerFailed`.
    """
    say("running the TLJH installer")
    with port_80.answered(source, staged=stage is not None):
        carry_out(source.hub, _command(source, plugins, "--version", tljh), say, stage)


def _command(source: Source, plugins: Sequence[str], *version: str) -> list[str]:
    command = [interpreter.there(source.hub), str(script(source)), *version]
    return [*command, "--plugin", *plugins] if plugins else command


def force(
    requirements: Sequence[str], source: Source, say: Say, stage: Elsewhere | None = None
) -> None:
    """Force pip to install another commit of the same version, which it treats as installed.

    Raises `InstallerFailed`.
    """
    for each in requirements:
        say(f"installing {each.partition(' @ ')[0]}")
        pip = [str(source.hub.python), "-m", "pip", "install", "--force-reinstall", "--no-deps"]
        carry_out(source.hub, [*pip, each], say, stage)


def note(hub: Hub, text: str) -> None:
    """Append the output of another command of an upgrade to the log."""
    with _appended(hub.work / LOG) as output:
        output.write(text)


class Elsewhere(Protocol):
    """Copies of a hub that a command sees at the paths of the live one."""

    @property
    def copy(self) -> Hub:
        """The copies, under a prefix with the same layout as the hub's."""

    @property
    def environment(self) -> dict[str, str]:
        """Environment variables that the command needs."""

    def command(self, command: Sequence[str], directory: Path) -> list[str]:
        """Return a command line that sees the copies."""


def carry_out(
    hub: Hub,
    command: list[str],
    say: Say,
    stage: Elsewhere | None,
    environment: Mapping[str, str] | None = None,
) -> None:
    """Run one command; its output goes to the log, and line by line to ``say``.

    The command writes to a file instead of a pipe, and inherits our lock. So if this process is
    killed, the command still finishes, and no other run can start until then.
    """
    own = stage.copy.python if stage else hub.python
    if not shutil.which(own if command[0] == str(hub.python) else command[0]):
        raise InstallerFailed(
            f"There is no {command[0]}, so nothing was installed.",
            hint="Something has taken it away: run TLJH's installer by hand once, it makes the "
            "hub's environment again. Then upgrade again.",
        )
    log = hub.work / LOG
    with _appended(log) as output, log.open(errors="replace") as read:
        read.seek(0, os.SEEK_END)
        process = subprocess.Popen(
            stage.command(command, hub.work) if stage else command,
            env={
                **interpreter.environment(hub),
                **(stage.environment if stage else {}),
                **(environment or {}),
            },
            cwd=hub.work,  # the plugin creates an empty database in the working directory on import
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            close_fds=False,  # inherits the lock's descriptor; Python's own are close-on-exec
        )
        last = deque(_said(process, read, say), maxlen=TAIL)
    if process.returncode:
        reason = cause.of("\n".join(last))
        reason += disk.blamed("\n".join(last), *written(hub))
        raise InstallerFailed(
            f"{command[2] if command[1] == '-m' else Path(command[1]).name} ended with "
            f"{process.returncode}: {reason}",
            hint=f"Read {log}. Correct the cause and run the upgrade again: tljh-runbook upgrade",
        )


def written(hub: Hub) -> list[Path]:
    """Return paths on all disks that an installation writes to."""
    return [hub.prefix, hub.work, hub.root / "usr", Path(tempfile.gettempdir())]


def _appended(log: Path) -> TextIO:
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW
    return os.fdopen(os.open(log, flags, 0o600), "w")


def _said(process: subprocess.Popen[bytes], read: TextIO, say: Say) -> Iterator[str]:
    """Yield each line of the process's output until the process ends."""
    ended = False
    while not ended:
        ended = process.poll() is not None  # before the last read, so that no output is missed
        for line in map(str.strip, read):
            say(line)
            yield line
        if not ended:
            time.sleep(PAUSE)
