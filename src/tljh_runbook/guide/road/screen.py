"""The terminal while a playbook runs: lines that stay, and one that tells how long it takes."""

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
    """Prints lines; on a terminal a last one is written again each second. A pipe gets none."""

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
        """Print a line that stays."""
        self._wipe()
        sys.stdout.flush()  # what was said before stays before it, in a pipe, too
        stream = sys.stderr if error else sys.stdout
        stream.write(f"{self._coloured(clean(text), colour, stream.isatty())}\n")
        stream.flush()

    def doing(self, text: str, since: float | None = None) -> None:
        """Show what is being done now, and since when; the next line takes its place."""
        self._doing = clean(text)
        self._since = time.monotonic() if since is None else since
        if self._live:
            self._tick(signal.SIGALRM, None)

    def close(self) -> None:
        """Show nothing more in place."""
        if self._live:
            signal.setitimer(signal.ITIMER_REAL, 0)
            self._wipe()
            self._doing = ""

    def _tick(self, _: int, frame: FrameType | None) -> None:  # noqa: ARG002 - signal gives both
        if not self._doing:
            return
        passed = f" {time.monotonic() - self._since:.0f} s"
        room = shutil.get_terminal_size().columns - 1 - len(passed)  # a second row would stay
        self._write(f"\r\033[K{self._doing[:room]}{passed}")

    def _wipe(self) -> None:
        if self._live and self._doing:
            self._write("\r\033[K")

    def _write(self, text: str) -> None:
        # Past Python's buffer, which may be in use at the moment at which the signal comes.
        os.write(sys.stdout.fileno(), text.encode(errors="replace"))

    def _coloured(self, text: str, colour: str, terminal: bool) -> str:
        if not (colour and terminal and self._colours):
            return text
        return f"\033[{COLOURS[colour]}m{text}\033[0m"


def clean(text: str) -> str:
    """Return ``text`` with what would command a terminal made visible."""
    return "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in text)
