"""How much longer a backup of user data takes than restic alone, when nothing has changed.

Run it as root, on an idle machine: python tests/benchmarks/user_data.py [FILES] [PAIRS]
"""

from __future__ import annotations

import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "hub"))

import hub_folder
from hub_fixtures import supervisor

from tljh_runbook.hub import services, settings
from tljh_runbook.hub.capture import Folder
from tljh_runbook.hub.components.user_data import COMPONENT
from tljh_runbook.hub.source import Source
from tljh_runbook.hub.user_data import homes, repository, user_files

FILES, PAIRS = 20_000, 7


def fill(place: Path, count: int) -> None:
    """Write ``count`` files of 1 to 20 KB, a hundred in a folder."""
    chance = random.Random(7)  # noqa: S311 - the same files each time
    for number in range(count):
        folder = place / "alice" / f"{number // 100:03}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number}.ipynb").write_bytes(chance.randbytes(chance.randint(1000, 20_000)))


def seconds(action: Callable[[], object]) -> float:
    begun = time.perf_counter()
    action()
    return time.perf_counter() - begun


def measure(source: Source, pairs: int) -> None:
    opened = repository.opened(source, make=True)
    found = homes.find(source)
    folder = Path(source.settings.homes).parent / "out"

    def bare() -> None:
        """Type what the component types, without the tags: it finds the same parent."""
        command = ["restic", "--json", "--no-cache", "backup", "--host", opened.name]
        command += [*user_files.excludes(source, found.paths), "--", *map(str, found.paths)]
        keys = {"RESTIC_REPOSITORY": opened.address, "RESTIC_PROGRESS_FPS": "2"}
        keys["RESTIC_PASSWORD_FILE"] = str(opened.password_file)
        subprocess.run(command, env=os.environ | keys, check=True, capture_output=True)

    def component() -> None:
        made = Folder(folder, "user-data", source.hub, "20260101T000000Z", alone=True)
        assert COMPONENT.capture(source, made)["files"] >= FILES // 100

    def command() -> None:
        words = [sys.executable, "-m", "tljh_runbook", "backup", "--hub", str(source.hub.prefix)]
        subprocess.run(words, check=True, capture_output=True)

    print(f"first backup: {seconds(component):.2f} s")
    ways: dict[str, Callable[[], None]] = {
        "bare restic": bare,
        "component": component,
        "whole command": command,
    }
    times: dict[str, list[float]] = {name: [] for name in ways}
    for way in ways.values():
        way()
    for number in range(pairs):
        # In turn, from another one on each time: what the machine does besides hits all alike.
        order = list(ways)[number % 3 :] + list(ways)[: number % 3]
        for name in order:
            times[name].append(seconds(ways[name]))
    base = statistics.median(times["bare restic"])
    for name, each in times.items():
        median = statistics.median(each)
        spread = f"{min(each):.2f} to {max(each):.2f}"
        print(f"{name}: median {median:.2f} s ({spread}), {median / base:.2f} times bare restic")


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else FILES
    pairs = int(sys.argv[2]) if len(sys.argv) > 2 else PAIRS
    with tempfile.TemporaryDirectory() as folder:
        hub = hub_folder.build(Path(folder) / "server")
        found = settings.load(hub)
        fill(Path(found.homes), count)
        with supervisor(hub, autostart="false"):
            print(f"{count} files, {pairs} pairs")
            measure(Source(hub, found, services.of(hub, found)), pairs)


if __name__ == "__main__":
    main()
