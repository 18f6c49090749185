#!/usr/bin/python3 -ISXutf8
"""What is typed as `tljh-runbook` on a server: it starts the unpacked copy.

Where no copy is, or a file of it is not as it was unpacked, the rescue file beside it does the
same.  This file lies in /usr/local/bin as it is here: it needs the standard library alone.
"""

from __future__ import annotations

import fcntl
import importlib
import os
import sys
from collections.abc import Callable
from pathlib import Path

FILES = "FILES"  # in each copy: size and name of every file that was unpacked
FLAGS = "-ISXutf8"  # as in the first line, where only one word is allowed
RESCUE = "tljh-runbook.pyz"


def main() -> None:
    """Start the copy, or the rescue file."""
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
    """Return the command of a copy, None when that is not whole; nobody removes it meanwhile."""
    try:
        fcntl.flock(os.open(copy, os.O_RDONLY | os.O_DIRECTORY), fcntl.LOCK_SH | fcntl.LOCK_NB)
        if not whole(copy):
            return None
        sys.path.insert(0, str(copy))
        # By its name: this file stands apart from the package.
        command: Callable[[], None] = importlib.import_module("tljh_runbook.cli").main
    except Exception:  # noqa: BLE001 - whatever is wrong with it: the rescue file is there
        return None
    return command


def whole(copy: Path) -> bool:
    """Say whether every file of a copy is there, and as long as it was unpacked."""
    try:
        kept = [line.split(" ", 1) for line in (copy / FILES).read_text("utf-8").splitlines()]
        return bool(kept) and all(
            os.stat(f"{copy}/{name}").st_size == int(size)  # noqa: PTH116 - hundreds of them
            for size, name in kept
        )
    except (OSError, ValueError):
        return False


if __name__ == "__main__":
    main()
