"""Measure what must be quick, each figure beside a peer of the same run."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import booted
import click
import copies
import files
import record
import start
import upgrade
import user_data
from rows import Row

Measure = Callable[[Path, int], Iterator[Row]]
USUAL = ("start", "copies", "user-data", "upgrade")
# They are measured when they are asked for: one takes long, the other needs root and Docker.
GROUPS = (*USUAL, "files", "booted")


@click.command()
@click.option("--only", type=click.Choice(GROUPS), multiple=True, help="Only this group.")
@click.option("--rounds", default=5, show_default=True, help="How often each figure is measured.")
@click.option("--copies", "count", default=100, show_default=True, help="Copies to be sound.")
@click.option("--record", "kept", is_flag=True, help="Keep it in docs/measured/bench.json.")
def main(only: tuple[str, ...], rounds: int, count: int, *, kept: bool) -> None:
    """Measure, and print a table."""
    groups: dict[str, Measure] = {
        "start": start.rows,
        "copies": partial(copies.rows, copies=count),
        "user-data": user_data.rows,
        "upgrade": upgrade.rows,
        "files": files.rows,
        "booted": booted.rows,
    }
    found = []
    for name in only or USUAL:
        click.echo(f"measuring: {name}", err=True)
        load = round(os.getloadavg()[0], 1)
        with tempfile.TemporaryDirectory() as folder:
            rows = groups[name](Path(folder), rounds)
            found += [{"group": name, "load": load, **row.to_json()} for row in rows]
    measured = record.of(found)
    record.show(measured)
    if kept:
        record.keep(measured)
