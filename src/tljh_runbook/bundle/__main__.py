"""``python -m tljh_runbook.bundle FILE`` writes the hub half into one file."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tljh_runbook import bundle, hints
from tljh_runbook.errors import AccessDenied, RunbookError


def main() -> None:
    """Write the file that was named, and print its SHA-256 as `sha256sum` does."""
    parser = argparse.ArgumentParser("tljh_runbook.bundle", description=__doc__)
    parser.add_argument("file", type=Path, metavar="FILE")
    file = parser.parse_args().file
    try:
        print(f"{_written(file)}  {file}")  # noqa: T201
    except RunbookError as error:
        sys.stderr.write(f"{hints.text(error.message, error.hint)}\n")
        sys.exit(error.code)


def _written(file: Path) -> str:
    try:
        file.absolute().parent.mkdir(parents=True, exist_ok=True)
        return bundle.write(file)
    except OSError as error:
        raise AccessDenied(
            f"{error.filename or file}: {error.strerror}. No bundle was written.",
            hint="Name a file in a folder that you may write to.",
        ) from error


if __name__ == "__main__":
    main()
