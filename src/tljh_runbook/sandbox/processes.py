"""The processes of a sandbox: their environment, how to find them, how to end them."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from pathlib import Path

from tljh_runbook.errors import SandboxFailed
from tljh_runbook.sandbox.layout import Layout

MARKER = "TLJH_SANDBOX"
# Environment variables of the calling shell that would affect the sandbox: paths of another Python,
# disabled bytecode caching, variables of another hub or another repository.
FOREIGN = ("PYTHON", "JUPYTER", "VIRTUAL_ENV", "CONDA", "TLJH_", "CONFIGPROXY", "SUPERVISOR")
FOREIGN_GIT = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_PREFIX")


def environment(layout: Layout) -> dict[str, str]:
    """Return the environment for all processes of the sandbox, with its marker."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(FOREIGN) and name not in FOREIGN_GIT
    }
    return {**kept, "PYTHONUTF8": "1", MARKER: str(layout.root)}


def find(layout: Layout) -> list[int]:
    """Return the ids of all running processes of the sandbox, except this one."""
    # An upgrade is started by the tool, without the marker, but with the prefix of its hub.
    entries = {f"{MARKER}={layout.root}", f"TLJH_INSTALL_PREFIX={layout.prefix}"}
    marks = {os.fsencode(entry) for entry in entries}
    ids = (int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit())
    return [pid for pid in ids if pid != os.getpid() and marks & set(_environ(pid))]


def _environ(pid: int) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:  # it has just ended, or belongs to another user
        return []


def end_all(layout: Layout, *, patience: float = 3) -> None:
    """End every process of the sandbox: SIGTERM, then SIGKILL after ``patience`` seconds.

    Raises SandboxFailed if some processes still run after that.
    """
    if _signal_until_gone(layout, signal.SIGTERM, patience):
        return
    if _signal_until_gone(layout, signal.SIGKILL, 10):
        return
    left = " ".join(map(str, find(layout)))
    raise SandboxFailed(
        f"These processes of the sandbox in {layout.root} do not end: {left}.",
        hint="They wait for something, perhaps a disk that does not answer. Try again later.",
    )


def _signal_until_gone(layout: Layout, number: signal.Signals, patience: float) -> bool:
    deadline = time.monotonic() + patience
    told: set[int] = set()
    while found := set(find(layout)):
        for pid in found - told:
            _send(pid, number)
        told |= found
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def _send(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)
