"""What `python3 tljh-runbook.pyz` starts: ours, apart from what the user has set for Python.

An old Python must be able to read this file to its end: it says what is missing.
"""

import os
import sys

FLAGS = "-ISXutf8"  # no variables PYTHON..., no packages of users or the system, names in UTF-8

if sys.version_info < (3, 10):  # noqa: UP036 - whoever brings the file to an old server is told
    sys.stderr.write(
        "error: tljh-runbook needs Python 3.10 or newer, and this is Python %d.%d. "  # noqa: UP031
        "Nothing was changed.\n"
        "hint: Run it with a newer Python. Which are here: ls /usr/bin/python3*\n"
        % sys.version_info[:2]
    )
    sys.exit(26)

if sys.executable and not sys.flags.isolated:
    os.execv(sys.executable, [sys.executable, FLAGS] + sys.argv)  # noqa: RUF005, S606

from tljh_runbook.cli import main  # noqa: E402

main()
