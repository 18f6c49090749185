"""How text gets to a terminal: tables that align, sizes and ages that a person reads.

Colour and width follow the terminal; a pipe gets plain lines, never cut.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import click

from tljh_runbook import hints, program
from tljh_runbook.errors import printable

if TYPE_CHECKING:
    from rich.console import Console

PIPED_WIDTH = 1000  # columns: a pipe has no edge at which to cut
COMMANDS = re.compile(
    r"tljh-runbook "
    r"(acknowledge|backup|check|confirm|notice|password|progress|prove|prune|restore|scheduled"
    r"|security|snapshots|status|unpack|upgrade|verify|rehearse|resume|rollback)\b"
)
clean = printable
STYLES = {
    "ok": "green",
    "warning": "yellow",
    "NO": "bold red",
    "kept": "green",
    "BROKEN": "bold red",
    "measured": "dim",
}


def line(text: str) -> None:
    """Print one line as it is."""
    _forget_progress()
    _console().print(clean(typed(text)), markup=False)


def error(message: str, hint: str) -> None:
    """Print an error and what to do about it, on standard error."""
    _forget_progress()
    _flush()
    console = _console(stderr=True)
    console.print(f"[bold red]error:[/] {_escaped(message)}")
    first, *more = map(typed, hints.lines(hint))
    console.print(f"[bold]hint:[/] {_escaped(first)}")
    for each in more:
        console.print(_escaped(each))


def _flush() -> None:
    """Keep what was said before before it, in a pipe, too; where nobody reads, it is said alone."""
    with suppress(OSError):
        sys.stdout.flush()


def warning(text: str, commands: Sequence[str] = ()) -> None:
    """Print what is worth doing soon on standard error, and each command to type for it."""
    _forget_progress()
    _flush()
    console = _console(stderr=True)
    console.print(f"[bold yellow]warning:[/] {_escaped(typed(text))}")
    for each in commands:
        console.print(_escaped(f"  {typed(each)}"))


def typed(text: str) -> str:
    """Return ``text`` with our commands as they are typed here, for the hub that was named."""
    context = click.get_current_context(silent=True)
    hub = context.params.get("hub") if context else None
    place = f" --hub {shlex.quote(str(hub))}" if hub else ""
    return COMMANDS.sub(lambda found: f"{program.typed()} {found[1]}{place}", text)


def progress(text: str) -> None:
    """Show what is being done, on a terminal only; the next line takes its place."""
    if sys.stderr.isatty():
        _forget_progress()
        width = shutil.get_terminal_size().columns
        sys.stderr.write(f"{clean(text)[: width - 3]} …")  # a second row would stay behind
        sys.stderr.flush()


def _forget_progress() -> None:
    if sys.stderr.isatty():
        sys.stderr.write("\r\033[K")
        sys.stderr.flush()


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print rows under their columns' names."""
    _forget_progress()
    from rich.table import Table  # noqa: PLC0415 - rich is slow to import, and often not needed
    from rich.text import Text  # noqa: PLC0415

    drawn = Table(
        box=None,
        pad_edge=False,
        header_style="bold",
        padding=(0, 2, 0, 0),
        show_header=any(columns),
    )
    for column in columns:
        # A snapshot's name is copied as a whole, however narrow the terminal is.
        drawn.add_column(column, overflow="fold", no_wrap=column == "snapshot")
    for row in rows:
        drawn.add_row(*(Text(clean(cell), style=STYLES.get(cell, "")) for cell in row))
    console = _console()
    with console.capture() as captured:
        console.print(drawn, crop=False)
    # rich pads every line to the table's width: nobody wants those blanks in a pipe.
    sys.stdout.write("".join(f"{each.rstrip()}\n" for each in captured.get().splitlines()))


def data(values: Any) -> None:
    """Print values as JSON, for scripts."""
    sys.stdout.write(json.dumps(values, indent=2, sort_keys=True) + "\n")


def size(count: int) -> str:
    """Return a number of bytes as a person says it, rounded up as `ls -h` does."""
    megabytes = -(-count // 1_000_000)
    return f"{megabytes} MB" if megabytes < 1000 else f"{count / 1e9:.1f} GB"


def age(seconds: float) -> str:
    """Return a time span as a person says it."""
    for unit, length in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds >= length:
            number = int(seconds // length)
            return f"{number} {unit}{'' if number == 1 else 's'}"
    return f"{max(0, int(seconds))} s"


def _console(*, stderr: bool = False) -> Console:
    from rich.console import Console  # noqa: PLC0415

    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else PIPED_WIDTH
    return Console(file=stream, width=width, highlight=False, soft_wrap=True, emoji=False)


def _escaped(text: str) -> str:
    from rich.markup import escape  # noqa: PLC0415

    return escape(clean(text))
