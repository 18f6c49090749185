"""Running processes, as the kernel reports them in ``/proc``."""

from __future__ import annotations

import ipaddress
import os
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from tljh_runbook.hub.core.address import Socket

PROC = Path("/proc")
ESTABLISHED, LISTEN = "01", "0A"  # the kernel's numbers for connection states


def started(pid: int) -> float | None:
    """Return when a process started, in seconds since boot; None if it is not running."""
    with suppress(OSError, IndexError):
        # The second field is the program's name in parentheses, and may itself contain some.
        fields = (PROC / str(pid) / "stat").read_text(errors="replace").rpartition(")")[2].split()
        if fields[0] not in {"Z", "X"}:
            return int(fields[19]) / os.sysconf("SC_CLK_TCK")
    return None


def age(pid: int) -> float:
    """Return for how many seconds a process has been running; 0 if it is not running."""
    begun = started(pid)
    return 0.0 if begun is None else time.clock_gettime(time.CLOCK_BOOTTIME) - begun


def owner(pid: int) -> int | None:
    """Return the ID of the user that a process runs as; None if it is not running."""
    with suppress(OSError):
        return (PROC / str(pid)).stat().st_uid
    return None


def working_directory(pid: int) -> Path | None:
    with suppress(OSError):
        return (PROC / str(pid) / "cwd").readlink()
    return None


def environment(pid: int) -> dict[str, str]:
    """Return the environment that a process was started with; {} if it is not readable."""
    with suppress(OSError):
        pairs = (PROC / str(pid) / "environ").read_bytes().decode(errors="replace").split("\0")
        return dict(pair.split("=", 1) for pair in pairs if "=" in pair)
    return {}


def command_line(pid: int) -> list[str]:
    """Return the arguments that a process was started with; [] if it is not running."""
    with suppress(OSError):
        return (PROC / str(pid) / "cmdline").read_bytes().decode(errors="replace").split("\0")[:-1]
    return []


def open_files(pid: int) -> set[Path]:
    """Return the paths of a process's open files."""
    found = set()
    with suppress(OSError):
        for link in (PROC / str(pid) / "fd").iterdir():
            with suppress(OSError):
                found.add(link.readlink())
    return found


def peers(pid: int) -> set[int]:
    """Return the remote ports of a process's established TCP connections."""
    return {int(fields[2].rpartition(":")[2], 16) for fields in _sockets(pid, ESTABLISHED)}


def listening(pid: int) -> list[Socket]:
    """Return the TCP sockets that a process listens on; [] if they are not readable."""
    found = {_socket(fields[1]) for fields in _sockets(pid, LISTEN)}
    return sorted(found, key=lambda each: (each.port, each.host))


def _sockets(pid: int, state: str) -> Iterator[list[str]]:
    """Yield the kernel's table row for each of a process's TCP sockets in this state."""
    own = {str(path) for path in open_files(pid)}
    for table in ("tcp", "tcp6"):
        with suppress(OSError, IndexError, ValueError):
            for line in (PROC / str(pid) / "net" / table).read_text().splitlines()[1:]:
                fields = line.split()
                if fields[3] == state and f"socket:[{fields[9]}]" in own:
                    yield fields


def _socket(told: str) -> Socket:
    """Parse an address as the kernel prints it: 4-byte words in native byte order."""
    words, _, port = told.rpartition(":")
    parts = [int(words[at : at + 8], 16) for at in range(0, len(words), 8)]
    packed = b"".join(part.to_bytes(4, sys.byteorder) for part in parts)
    return Socket(str(ipaddress.ip_address(packed)), int(port, 16))


def children(pid: int) -> list[int]:
    """Return a process and all its descendants."""
    found = [pid]
    for parent in found:
        with suppress(OSError):
            for task in (PROC / str(parent) / "task").iterdir():
                found += map(int, (task / "children").read_text().split())
    return found
