"""The end of the hub's own log, from the journal or a log file."""

from __future__ import annotations

import shlex
import subprocess
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path

from tljh_runbook.hub.system.services import Services

SECONDS = 10  # the timeout for reading it
LARGEST = 1 << 18  # bytes


def tail(manager: Services, since: float | None = None, lines: int = 100) -> str:
    """Return the last lines of the hub's log, at most `LARGEST` bytes; '' if there is none.

    Entries older than ``since``, in seconds since 1970, are left out: line by line in the systemd
    journal, but a log file only as a whole, if it was not written since.
    """
    command = shlex.split(manager.log_line)
    command[command.index("-n") + 1] = str(lines)
    if command[0] != "journalctl":
        if since is not None and not _written(Path(command[-1]), since):
            return ""
    else:
        command += ["--no-pager", "--output=cat"]
        if since is not None:
            moment = datetime.fromtimestamp(since, timezone.utc)
            command += [f"--since={moment:%Y-%m-%d %H:%M:%S} UTC"]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=SECONDS, check=False
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout[-LARGEST:].decode(errors="replace")


def _written(file: Path, since: float) -> bool:
    with suppress(OSError):
        return file.stat().st_mtime >= since
    return False
