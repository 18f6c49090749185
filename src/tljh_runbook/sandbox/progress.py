"""Telling a person at a terminal what takes so long."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager


class Progress:
    """Prints a line a phase on standard error; the seconds only where somebody watches them."""

    @contextmanager
    def __call__(self, phase: str) -> Iterator[None]:
        watched = sys.stderr.isatty()
        started = time.monotonic()
        print(f"{phase} …", end="" if watched else "\n", file=sys.stderr, flush=True)
        try:
            yield
        finally:
            if watched:
                print(f" {time.monotonic() - started:.1f} s", file=sys.stderr, flush=True)
