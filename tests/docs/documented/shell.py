"""A shell that stays open for a whole page, as a reader's does."""

from __future__ import annotations

import os
import secrets
import shlex
import signal
import subprocess
import threading
from pathlib import Path

LIMIT = 600.0  # seconds for one command


class Shell:
    """One bash; what commands print on either stream comes back as one text."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self._process = subprocess.Popen(
            ["bash", "--noprofile", "--norc"],
            cwd=folder,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
        )

    def run(self, command: str) -> tuple[list[str], int]:
        """Return the lines that the command printed, and its exit status.

        The command must not read the lines that follow it, so its input is empty.
        """
        assert self._process.stdin
        end = f"end-{secrets.token_hex(8)}"
        self._process.stdin.write(
            f"eval {shlex.quote(command)} </dev/null\nprintf '%s %s\\n' {end} $?\n"
        )
        self._process.stdin.flush()
        clock = threading.Timer(LIMIT, self._kill)
        clock.start()
        try:
            return self._until(end)
        finally:
            clock.cancel()

    def _until(self, end: str) -> tuple[list[str], int]:
        assert self._process.stdout
        lines = []
        for line in self._process.stdout:
            before, found, after = line.partition(end)
            if not found:
                lines.append(line.rstrip("\n"))
                continue
            if before:  # the command's last line has no end of its own
                lines.append(before)
            return lines, int(after)
        return [*lines, "(the shell ended, or the command took too long)"], 255

    def close(self) -> None:
        """End the shell and what runs in it."""
        self._kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream:
                stream.close()

    def _kill(self) -> None:
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
