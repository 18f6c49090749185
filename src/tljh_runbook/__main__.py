"""``python -m tljh_runbook`` is the command ``tljh-runbook``."""

from __future__ import annotations

import sys

INTERRUPTED = 130


def main() -> None:
    """Run the command; Ctrl-C is no traceback even while it is still being loaded."""
    try:
        from tljh_runbook import cli  # noqa: PLC0415 - nothing could be caught before
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    cli.main()


if __name__ == "__main__":
    main()
