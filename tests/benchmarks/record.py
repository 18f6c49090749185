"""What was measured: on which machine, when, with what; printed, and kept for the documentation."""

from __future__ import annotations

import json
import os
import platform
import sqlite3
import subprocess
import time
from importlib import metadata
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

FILE = Path("docs/measured/bench.json")
Measured = dict[str, Any]


def of(rows: list[dict[str, Any]]) -> Measured:
    """Return what was measured with all that it depends on."""
    return {
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "machine": _machine(),
        "versions": _versions(),
        "rows": rows,
    }


def keep(measured: Measured) -> None:
    """Write the record; groups that were measured before stay in it, where all else is the same."""
    before = json.loads(FILE.read_text()) if FILE.exists() else {"rows": []}
    if any(before.get(each) != measured[each] for each in ("date", "machine", "versions")):
        before["rows"] = []
    again = {row["group"] for row in measured["rows"]}
    rows = [row for row in before["rows"] if row["group"] not in again] + measured["rows"]
    FILE.parent.mkdir(exist_ok=True)
    FILE.write_text(json.dumps({**measured, "rows": rows}, indent=2) + "\n")


def show(measured: Measured) -> None:
    """Print the rows as a table."""
    table = Table("measured", "ours", "beside", "", "ratio", "from–to", "aim", "reached")
    for row in measured["rows"]:
        table.add_row(*cells(row))
    Console(width=None if os.isatty(1) else 200).print(table)


def cells(row: dict[str, Any]) -> list[str]:
    """Return the words of one row."""
    peer, ratio, unit = row["peer"], row["ratio"], row["unit"]
    return [
        row["name"],
        f"{row['ours']['median']:g} {unit}",
        peer["name"] if peer else "",
        f"{peer['median']:g} {unit}" if peer else "",
        f"{ratio['median']:.2f}" if ratio else "",
        f"{ratio['min']:.2f}–{ratio['max']:.2f}" if ratio else "",
        f"≤ {row['aim']:g}" + ("" if ratio else f" {unit}"),
        "yes" if row["reached"] else "no",
    ]


def _machine() -> dict[str, str]:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "processors": f"{os.cpu_count()} × {_processor()}",
        "memory": f"{memory / 2**30:.0f} GB",
        "system": f"{platform.freedesktop_os_release()['PRETTY_NAME']}, Linux {_kernel()}",
    }


def _kernel() -> str:
    return platform.release().partition("-")[0]


def _processor() -> str:
    text = Path("/proc/cpuinfo").read_text()
    names = [line.partition(": ")[2] for line in text.splitlines() if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _versions() -> dict[str, str]:
    restic = subprocess.run(["restic", "version"], capture_output=True, text=True, check=False)
    return {
        "tljh-runbook": metadata.version("tljh-runbook"),
        "Python": platform.python_version(),
        "SQLite": sqlite3.sqlite_version,
        "restic": restic.stdout.split()[1] if restic.stdout else "none",
    }
