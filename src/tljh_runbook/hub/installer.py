"""Running the TLJH installer for the versions that are asked for."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

from tljh_runbook.errors import InstallerFailed, ToolMissing
from tljh_runbook.hub import changes
from tljh_runbook.hub.layout import Hub
from tljh_runbook.hub.snapshot import Source

LOG = "installer.log"
TAIL = 3  # lines of the log that an error repeats


def script(source: Source) -> Path:
    """Return the installer's path. Raises `ToolMissing`."""
    path = Path(source.settings.upgrade.installer)
    if not path.is_file():
        raise ToolMissing(
            f"The TLJH installer is not at {path}. Nothing was changed.",
            hint="Put TLJH's bootstrap.py there, or set upgrade.installer in the settings file.",
        )
    return path


def run(source: Source, wanted: Sequence[changes.Change], say: Callable[[str], None]) -> None:
    """Upgrade the plugins and TLJH as asked. Raises `InstallerFailed`."""
    for change in wanted:
        # Every commit of the plugin has the same version, so pip would keep the old one.
        if change.requirement and change.requirement.commit:
            say(f"installing {change.name} at {change.after}")
            pip = [str(source.hub.python), "-m", "pip", "install", "--force-reinstall", "--no-deps"]
            _carry_out(source.hub, [*pip, change.requirement.text], say)
    say("running the TLJH installer")
    command = [_python(source.hub), str(script(source))]
    command += ["--version", source.settings.upgrade.tljh]
    if source.settings.upgrade.plugins:
        command += ["--plugin", *source.settings.upgrade.plugins]
    _carry_out(source.hub, command, say)


def _carry_out(hub: Hub, command: list[str], say: Callable[[str], None]) -> None:
    """Run one command; its output goes to the log, its own messages to ``say``."""
    environment = os.environ | {"TLJH_INSTALL_PREFIX": str(hub.prefix)}
    log = hub.work / LOG
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW
    lines: list[str] = []
    if not Path(command[0]).exists() and not shutil.which(command[0]):
        raise InstallerFailed(
            f"There is no {command[0]}, so nothing was installed.",
            hint="An upgrade of the operating system may have taken the hub's Python away: run "
            "TLJH's installer by hand once, then upgrade again.",
        )
    with (
        os.fdopen(os.open(log, flags, 0o600), "w") as file,
        subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        ) as process,
    ):
        for line in process.stdout or ():
            file.write(line)
            file.flush()
            lines = [*lines, line.strip()][-TAIL:]
            say(line.strip())
    if process.returncode:
        raise InstallerFailed(
            f"{'pip' if 'pip' in command else Path(command[1]).name} ended with "
            f"{process.returncode}: {' | '.join(lines)}",
            hint=f"Read {log}. Correct the cause and run the upgrade again: it starts where it "
            "can. To go back instead, follow RESTORE.md in the newest snapshot.",
        )


def _python(hub: Hub) -> str:
    """Return the Python that the hub's environment was made with."""
    link = hub.python
    while link.is_symlink():
        target = link.readlink()
        link = target if target.is_absolute() else link.parent / target
    return str(link) if link.exists() and hub.environment not in link.parents else "python3"
