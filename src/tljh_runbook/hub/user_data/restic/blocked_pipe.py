"""Free a backup that waits for the other end of a named pipe which a user put in its way.

restic looks at an entry and then opens it. When a user exchanges a file for a named pipe in
between, the open waits until somebody writes to the pipe. See fifo(7) and proc(5).
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

WAITS = "wait_for_partner"  # where the kernel waits for the other end (fs/pipe.c)
LONGEST = 4096  # bytes of a path, PATH_MAX


def free(pid: int) -> list[str]:
    """Open the other end of each pipe for which a thread of ``pid`` waits; return their paths.

    Nothing is written: the reader finds the end of the file. A pipe that was moved away meanwhile
    is not found here, and the next call looks again.
    """
    return [os.fsdecode(path) for path in _waited_for(pid) if _open_other_end(path)]


def _waited_for(pid: int) -> Iterator[bytes]:
    for thread in Path(f"/proc/{pid}/task").glob("*"):
        with suppress(OSError, ValueError, IndexError):  # the thread has ended, or waits no more
            if (thread / "wchan").read_text() == WAITS:
                # The number of openat(2), the folder, the address of the path.
                address = int((thread / "syscall").read_text().split()[2], 16)
                yield _text_at(pid, address)


def _text_at(pid: int, address: int) -> bytes:
    with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
        memory.seek(address)
        return memory.read(LONGEST).partition(b"\0")[0]


def _open_other_end(path: bytes) -> bool:
    """Open a pipe for writing and close it again; say whether it was one."""
    with suppress(OSError):
        entry = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            if stat.S_ISFIFO(os.fstat(entry).st_mode):  # what is no pipe is not even opened
                os.close(os.open(f"/proc/self/fd/{entry}", os.O_WRONLY | os.O_NONBLOCK))
                return True
        finally:
            os.close(entry)
    return False
