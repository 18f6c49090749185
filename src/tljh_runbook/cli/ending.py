"""How a run ends when the command line is wrong, or nobody takes what it prints."""

from __future__ import annotations

import errno
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from tljh_runbook import terminal

UNREAD = 141  # what a shell says of a program whose reader has left
UNWRITTEN = 1


class Commands(click.Group):
    """The commands; a wrong command line and a lost output end them without a traceback."""

    def make_context(self, *arguments: Any, **options: Any) -> click.Context:
        _open_all()
        with _ended():
            return super().make_context(*arguments, **options)

    def invoke(self, context: click.Context) -> Any:
        with _ended():
            return super().invoke(context)


class Lost(OSError):
    """Standard output takes nothing any more."""


class Output(io.FileIO):
    """Standard output, whose errors are told apart from those of files and sockets."""

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except OSError as error:
            raise Lost(error.errno, error.strerror) from error


@contextmanager
def _ended() -> Iterator[None]:
    """Tell a script of a wrong command line as of any other error; end as the output does.

    An error that was told before the output was lost keeps its exit code.
    """
    code: Any = 0
    try:
        try:
            yield
        except SystemExit as leaving:
            code = leaving.code
            raise
        except click.UsageError as error:
            if "--json" in sys.argv:
                _tell(error)
            raise
        finally:
            sys.stdout.flush()
    except Lost as error:
        _forget()
        if error.errno == errno.EPIPE:
            sys.exit(code or UNREAD)
        click.echo(f"error: Standard output cannot be written: {error.strerror}.", err=True)
        sys.exit(code or UNWRITTEN)


def _tell(error: click.UsageError) -> None:
    """Print a wrong command line as data, in the shape of all errors."""
    path = error.ctx.command_path if error.ctx else "tljh-runbook"
    hint = f"See what can be typed: {path} --help"
    told = {"message": error.format_message(), "hint": hint, "code": error.exit_code}
    try:
        terminal.data({"error": told})
        sys.stdout.flush()
    except Lost:  # a person is told all the same
        _forget()


def _forget() -> None:
    """Lead nowhere what is still to be printed: Python would try again when it ends."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def _open_all() -> None:
    """Open what the caller has closed: else the next file that is opened would take its place."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    if sys.stdout is sys.__stdout__:
        sys.stdout = _opened(1)
    if sys.stderr is None:
        sys.stderr = _opened(2)


def _opened(number: int) -> io.TextIOWrapper:
    file = Output(number, "w", closefd=False)
    return io.TextIOWrapper(
        io.BufferedWriter(file),
        encoding=getattr(sys.stdout, "encoding", "utf-8"),
        errors=getattr(sys.stdout, "errors", "backslashreplace"),
        line_buffering=file.isatty(),
    )
