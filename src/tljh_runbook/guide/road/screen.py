"""The terminal output of a running playbook: permanent lines, and a status line with a timer."""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import sys
import time
from types import FrameType

COLOURS = {"red": 31, "green": 32, "dim": 2}


class Screen:
    """Output in lines, with a status line that is updated each second; only on a terminal."""

    def __init__(self) -> None:
        self._live = sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
        self._colours = "NO_COLOR" not in os.environ
        self._doing = ""
        self._since = time.monotonic()
        if self._live:
            # No thread: Ansible forks for each task, and a child must not inherit a held lock.
            signal.signal(signal.SIGALRM, self._tick)
            signal.setitimer(signal.ITIMER_REAL, 1, 1)
            atexit.register(self.close)

    def line(self, text: str, colour: str = "", *, error: bool = False) -> None:
        """Print a permanent line."""
        self._wipe()
        sys.stdout.flush()  # keeps the order of stdout and stderr, also in a pipe
        stream = sys.stderr if error else sys.stdout
        stream.write(f"{self._coloured(clean(text), colour, stream.isatty())}\n")
        stream.flush()

    def doing(self, text: str, since: float | None = None) -> None:
        """Show the current activity, and for how long it has run; the next line replaces it."""
        self._doing = clean(text)
        self._since = time.monotonic() if since is None else since
        if self._live:
            self._tick(signal.SIGALRM, None)

    def close(self) -> None:
        """Remove the status line and stop updating it."""
        if self._live:
            signal.setitimer(signal.ITIMER_REAL, 0)
            self._wipe()
            self._doing = ""

    def _tick(self, _: int, frame: FrameType | None) -> None:  # noqa: ARG002 - signal gives both
        if not self._doing:
            return
        passed = f" {time.monotonic() - self._since:.0f} s"
        room = shutil.get_terminal_size().columns - 1 - len(passed)  # a second row would remain
        self._write(f"\r\033[K{self._doing[:room]}{passed}")

    def _wipe(self) -> None:
        if self._live and self._doing:
            self._write("\r\033[K")

    def _write(self, text: str) -> None:
        # Bypass Python's buffer, which may be in use when the signal arrives.
        os.write(sys.stdout.fileno(), text.encode(errors="replace"))

    def _coloured(self, text: str, colour: str, terminal: bool) -> str:
        if not (colour and terminal and self._colours):
            return text
        return f"\033[{COLOURS[colour]}m{text}\033[0m"


def clean(text: str) -> str:
    """Return ``text`` with terminal control characters escaped."""
    return "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in text)
