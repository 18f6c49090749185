"""Unblocking a backup that hangs on a named pipe which a user swapped in for a file.

restic checks an entry's type and then opens it. If a user replaces a file with a named pipe in
between, the open blocks until the pipe is opened for writing. See fifo(7) and proc(5).
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

WAITS = "wait_for_partner"  # the kernel function that waits for the other end (fs/pipe.c)
LONGEST = 4096  # bytes of a path, PATH_MAX


def free(pid: int) -> list[str]:
    """Open the other end of each pipe on which a thread of ``pid`` is blocked; return the paths.

    Nothing is written, so the reader gets an end of file. A pipe that was moved meanwhile is not
    found; the next call looks again.
    """
    return [os.fsdecode(path) for path in _waited_for(pid) if _open_other_end(path)]


def _waited_for(pid: int) -> Iterator[bytes]:
    for thread in Path(f"/proc/{pid}/task").glob("*"):
        with suppress(OSError, ValueError, IndexError):  # thread ended or no longer blocked
            if (thread / "wchan").read_text() == WAITS:
                # The fields are the number of openat(2), the folder, and the address of the path.
                address = int((thread / "syscall").read_text().split()[2], 16)
                yield _text_at(pid, address)


def _text_at(pid: int, address: int) -> bytes:
    with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
        memory.seek(address)
        return memory.read(LONGEST).partition(b"\0")[0]


def _open_other_end(path: bytes) -> bool:
    """Open a pipe for writing and close it again; return whether it was a pipe."""
    with suppress(OSError):
        entry = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            if stat.S_ISFIFO(os.fstat(entry).st_mode):  # never open anything but a pipe
                os.close(os.open(f"/proc/self/fd/{entry}", os.O_WRONLY | os.O_NONBLOCK))
                return True
        finally:
            os.close(entry)
    return False
