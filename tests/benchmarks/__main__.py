"""The benchmarks, as ``./invoke bench`` runs them: python tests/benchmarks."""

from __future__ import annotations

import os
import sys
from pathlib import Path

TESTS = Path(__file__).parents[1]

if __name__ == "__main__":
    # A database's writer, releases to upgrade to, and a user who works: the tests have them, too.
    sys.path[:0] = [str(TESTS / "hub"), str(TESTS / "system" / "booted")]
    # As on the machine of a reader: programs are compiled once, and not again at each start.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    from bench import main

    main()
