"""Free ports for the services of a sandbox."""

from __future__ import annotations

import random
import socket
from collections.abc import Iterator
from contextlib import ExitStack

from tljh_runbook.errors import SandboxFailed

# Below the range that Linux uses for outgoing connections, so that a port that is free now is still
# free when its service starts or restarts later.
RANGE = range(20000, 32000)
HOST = "127.0.0.1"


def free(names: list[str]) -> dict[str, int]:
    """Return a different free port for each name.

    All ports are bound at the same time, so that none is returned twice, and released together.
    Raises SandboxFailed if there are not enough free ports.
    """
    with ExitStack() as held:
        # Random only so that two sandboxes rarely try the same ports; not a secret.
        candidates = iter(random.sample(RANGE, len(RANGE)))
        return {name: _hold(held, candidates) for name in names}


def _hold(held: ExitStack, candidates: Iterator[int]) -> int:
    for port in candidates:
        sock = held.enter_context(socket.socket())
        try:
            sock.bind((HOST, port))
        except OSError:
            continue
        return port
    raise SandboxFailed(
        f"No free port is left between {RANGE.start} and {RANGE.stop} on {HOST}.",
        hint="Stop some of the programs that listen there. To list them: ss -ltnp",
    )


def taken(ports: dict[str, int]) -> dict[str, int]:
    """Return those of ``ports`` that are already in use."""
    return {name: port for name, port in ports.items() if _listens(port)}


def _listens(port: int) -> bool:
    with socket.socket() as sock:
        sock.settimeout(1)
        return sock.connect_ex((HOST, port)) == 0
