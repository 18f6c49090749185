"""Child processes of the hub with a deadline and an output limit.

A configuration may wait for a server that does not answer, or print without end.
"""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

LIMIT = 1 << 26  # bytes of output
DEADLINE = 120  # seconds; importing JupyterHub takes 10 on a busy machine


@dataclass(frozen=True)
class Ended:
    """The output and exit code of a program; ``code`` is None if it had to be killed."""

    output: str
    code: int | None
    late: bool


def run(
    command: Sequence[str],
    environment: Mapping[str, str],
    directory: Path,
    *,
    errors: int = subprocess.STDOUT,
) -> Ended:
    """Run a program, then kill everything that it started; return its output and exit code.

    The program is killed at the `DEADLINE`. ``errors`` is the destination of its standard error.
    Raises `OSError` if it cannot be started.
    """
    end = time.monotonic() + DEADLINE
    process = subprocess.Popen(
        command,
        env=environment,
        cwd=directory,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=errors,
        start_new_session=True,
    )
    try:
        output, late = _read(process, end)
        code = _code(process, end) if not late and len(output) <= LIMIT else None
    finally:
        _kill(process)
    return Ended(output.decode(errors="replace"), code, late)


def _read(process: subprocess.Popen[bytes], end: float) -> tuple[bytes, bool]:
    """Return the output until the process closes it, and whether that took too long."""
    output = bytearray()
    assert process.stdout  # noqa: S101 - it is a pipe
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while selector.select(max(0, end - time.monotonic())):
            more = os.read(process.stdout.fileno(), 1 << 16)
            output += more
            if not more or len(output) > LIMIT:
                return bytes(output), False
    return bytes(output), True


def _code(process: subprocess.Popen[bytes], end: float) -> int | None:
    with suppress(subprocess.TimeoutExpired):
        return process.wait(max(0, end - time.monotonic()))
    return None


def _kill(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
