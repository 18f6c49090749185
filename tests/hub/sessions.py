"""Ending what a test has started in a session of its own."""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import suppress
from pathlib import Path


def kill(leader: subprocess.Popen[bytes]) -> None:
    """Kill a session's leader and all that it has started: Ansible leaves its process group."""
    for pid in (int(each.name) for each in Path("/proc").iterdir() if each.name.isdigit()):
        with suppress(ProcessLookupError):  # it may have ended between the two looks
            if os.getsid(pid) == leader.pid:
                os.kill(pid, signal.SIGKILL)
    leader.wait()
