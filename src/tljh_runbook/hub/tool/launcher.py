#!/usr/bin/python3 -ISXutf8
"""The command `tljh-runbook` on a server, which starts the unpacked copy.

If there is no copy, or one of its files is incomplete, it starts the rescue file next to the copy
instead. This file is installed in /usr/local/bin unchanged, so it can only use the standard
library.
"""

from __future__ import annotations

import fcntl
import importlib
import os
import sys
from collections.abc import Callable
from pathlib import Path

FILES = "FILES"  # in each copy: size and name of every unpacked file
FLAGS = "-ISXutf8"  # as in the shebang line, which allows only one argument
RESCUE = "tljh-runbook.pyz"


def main() -> None:
    """Start the unpacked copy, or the rescue file."""
    home = Path(__file__).resolve().parents[1] / "lib" / "tljh-runbook"
    command = started((home / "current").resolve())
    if command:
        command()
    rescue = home / RESCUE
    if rescue.exists():
        os.execv(sys.executable, [sys.executable, FLAGS, str(rescue), *sys.argv[1:]])  # noqa: S606
    sys.stderr.write(
        f"error: Neither the copy of tljh-runbook in {home} nor its rescue file is whole.\n"
        "hint: Bring tljh-runbook.pyz to this server, and: sudo python3 tljh-runbook.pyz unpack\n"
    )
    sys.exit(26)


def started(copy: Path) -> Callable[[], None] | None:
    """Return a copy's entry point, or None if it is incomplete; lock the copy against removal."""
    try:
        fcntl.flock(os.open(copy, os.O_RDONLY | os.O_DIRECTORY), fcntl.LOCK_SH | fcntl.LOCK_NB)
        if not whole(copy):
            return None
        sys.path.insert(0, str(copy))
        # By name, because this file is installed outside the package.
        command: Callable[[], None] = importlib.import_module("tljh_runbook.cli").main
    except Exception:  # noqa: BLE001 - on any error, use the rescue file
        return None
    return command


def whole(copy: Path) -> bool:
    """Return whether every file of a copy exists and has its original size."""
    try:
        kept = [line.split(" ", 1) for line in (copy / FILES).read_text("utf-8").splitlines()]
        return bool(kept) and all(
            os.stat(f"{copy}/{name}").st_size == int(size)  # noqa: PTH116 - faster for many files
            for size, name in kept
        )
    except (OSError, ValueError):
        return False


if __name__ == "__main__":
    main()
