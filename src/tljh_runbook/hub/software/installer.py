"""Running the TLJH installer for the versions that are asked for."""

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
PAUSE = 0.1  # seconds between two looks at what the installer writes
Say = Callable[[str], None]
TAIL = 200  # lines of the output in which the cause is looked for


def script(source: Source) -> Path:
    """Return the installer's path. Raises `ToolMissing`."""
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
    """Bring every package to its target, in a stage where one is given.

    Returns whether something was installed after the installer has restarted the hub. Raises
    `InstallerFailed`.
    """
    targets = source.targets
    force([each.requirement for each in targets.plugins if each.hidden], source, say, stage)
    plugins = [each.requirement for each in targets.plugins]
    _installer(targets.tljh, plugins, source, say, stage)
    place = stage.copy if stage else source.hub
    if targets.tljh.commit and targets.tljh in targets.left(versions.packages(place)):
        # To pip, another commit of the same version is the same.
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
    """Run TLJH's installer for the target of TLJH, which may be what is installed."""
    address = (tljh.source or "").removeprefix("git+")
    if address.startswith(TLJH_ADDRESS) or not (tljh.commit or tljh.kept):
        install(str(tljh.commit or tljh.version), plugins, source, say, stage)
        return
    _from_elsewhere(tljh.requirement, plugins, source, say, stage)


def install_recorded(requirement: str, plugins: Sequence[str], source: Source, say: Say) -> None:
    """Have TLJH's installer put in the TLJH that a snapshot recorded, and plugins.

    ``requirement`` is pip's: ``NAME==VERSION`` or ``NAME @ git+URL@COMMIT``. Raises
    `InstallerFailed`.
    """
    if reference := git_reference(requirement):
        install(reference, plugins, source, say)
    else:
        _from_elsewhere(requirement, plugins, source, say, None)


def git_reference(requirement: str) -> str:
    """Return what TLJH's installer takes as ``--version``; '' for a TLJH of another address."""
    place = requirement.partition(" @ ")[2].partition("#")[0]
    address, _, commit = place.removeprefix("git+").rpartition("@")
    if not place:
        return requirement.partition("==")[2]
    return commit if address.startswith(TLJH_ADDRESS) else ""


def _from_elsewhere(
    requirement: str, plugins: Sequence[str], source: Source, say: Say, stage: Elsewhere | None
) -> None:
    """Run TLJH's installer, which has one address of its own, for a TLJH from another place."""
    say("running the TLJH installer")
    spec = {"TLJH_BOOTSTRAP_PIP_SPEC": requirement}
    with port_80.answered(source, staged=stage is not None):
        carry_out(source.hub, _command(source, plugins), say, stage, spec)


def settle(target: Target, source: Source, say: Say, stage: Elsewhere | None) -> None:
    """Bring one package to its target, where the installer has left or brought another version."""
    if target.commit:
        force([target.requirement], source, say, stage)
        return
    say(f"installing {target.requirement}")
    pip = [str(source.hub.python), "-m", "pip", "install", "--no-input"]
    carry_out(source.hub, [*pip, target.requirement], say, stage)


def install(
    tljh: str, plugins: Sequence[str], source: Source, say: Say, stage: Elsewhere | None = None
) -> None:
    """Have TLJH's installer put in a version of TLJH and plugins (pip requirements).

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
    """Have pip put in packages that it takes for satisfied: of equal version, another commit.

    Raises `InstallerFailed`.
    """
    for each in requirements:
        say(f"installing {each.partition(' @ ')[0]}")
        pip = [str(source.hub.python), "-m", "pip", "install", "--force-reinstall", "--no-deps"]
        carry_out(source.hub, [*pip, each], say, stage)


def note(hub: Hub, text: str) -> None:
    """Add what another command of an upgrade has said to the log."""
    with _appended(hub.work / LOG) as output:
        output.write(text)


class Elsewhere(Protocol):
    """Copies of a hub that a command sees in the place of the live one."""

    @property
    def copy(self) -> Hub:
        """The copies: a prefix like the hub's own."""

    @property
    def environment(self) -> dict[str, str]:
        """What the command must find in its environment."""

    def command(self, command: Sequence[str], directory: Path) -> list[str]:
        """Return the command line that sees the copies."""


def carry_out(
    hub: Hub,
    command: list[str],
    say: Say,
    stage: Elsewhere | None,
    environment: Mapping[str, str] | None = None,
) -> None:
    """Run one command; its output goes to the log, and line by line to ``say``.

    It writes to a file, not to us, and inherits our lock: when this process is killed, the command
    ends what it began, and no other run begins beside it.
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
            cwd=hub.work,  # the plugin leaves an empty database wherever it is imported
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            close_fds=False,  # Python's own descriptors are not inherited, the lock's is
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
    """Return the places whose disks an installation writes to."""
    return [hub.prefix, hub.work, hub.root / "usr", Path(tempfile.gettempdir())]


def _appended(log: Path) -> TextIO:
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW
    return os.fdopen(os.open(log, flags, 0o600), "w")


def _said(process: subprocess.Popen[bytes], read: TextIO, say: Say) -> Iterator[str]:
    """Yield each line that the process writes, until it has ended."""
    ended = False
    while not ended:
        ended = process.poll() is not None  # asked before the last look at what it wrote
        for line in map(str.strip, read):
            say(line)
            yield line
        if not ended:
            time.sleep(PAUSE)
