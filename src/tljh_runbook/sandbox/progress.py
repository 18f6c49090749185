"""Progress output for a person at a terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import click


class Progress:
    """Progress on standard error: one line per phase, with its duration on a terminal only."""

    @contextmanager
    def __call__(self, phase: str) -> Iterator[None]:
        watched = sys.stderr.isatty()
        started = time.monotonic()
        click.echo(f"{phase} …", nl=not watched, err=True)
        try:
            yield
        finally:
            if watched:
                click.echo(f" {time.monotonic() - started:.1f} s", err=True)

    def say(self, text: str) -> None:
        """Print a line that is not a phase."""
        click.echo(text, err=True)
