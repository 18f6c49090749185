"""What a start takes: from the checkout, from the one file, and from the unpacked copy.

It counts the processor's seconds, which on an idle machine are those that a person waits.
Run it: python tests/benchmarks/start.py [TIMES]
"""

from __future__ import annotations

import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "hub"))

import hub_folder
from hub_fixtures import supervisor

PYTHON = "/usr/bin/python3"
TIMES = 15


def seconds(command: list[str], times: int) -> float:
    """Return the median of several starts, after one that warms the caches."""
    spans = []
    for _ in range(times + 1):
        before = spent()
        quietly(command)
        spans.append(spent() - before)
    return statistics.median(spans[1:])


def spent() -> float:
    """Return the seconds that our children have used the processor for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def quietly(command: list[str]) -> None:
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)


def main() -> None:
    times = int(sys.argv[1]) if sys.argv[1:] else TIMES
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        pyz = root / "tljh-runbook.pyz"
        quietly([sys.executable, "-m", "tljh_runbook.bundle", str(pyz)])
        quietly([PYTHON, str(pyz), "unpack", "--root", name])
        starts = {
            "checkout": [sys.executable, "-m", "tljh_runbook"],
            "one file": [PYTHON, str(pyz)],
            "unpacked": [str(root / "usr/local/bin/tljh-runbook")],
            "bare Python": [PYTHON, "-ISXutf8", "-c", ""],
        }
        hub = hub_folder.build(root / "server")
        where = ["--hub", str(hub.prefix)]
        lines = [["--version"], ["status", *where, "--json"], ["snapshots", *where], ["--help"]]
        with supervisor(hub, autostart="false"):
            print(f"{'':12}" + "".join(f"{line[0]:>12}" for line in lines))
            for kind, start in starts.items():
                spans = [seconds([*start, *line], times) for line in lines]
                print(f"{kind:12}" + "".join(f"{span:10.3f} s" for span in spans))


if __name__ == "__main__":
    main()
