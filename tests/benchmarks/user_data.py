"""A backup of user data in which nothing has changed, beside restic alone."""

from __future__ import annotations

import os
import random
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import hub_folder
from hub_fixtures import supervisor
from rows import Row, in_turn, seconds

from tljh_runbook.hub.backup.components.user_data import COMPONENT
from tljh_runbook.hub.context import Source
from tljh_runbook.hub.core import settings
from tljh_runbook.hub.snapshots.draft import Folder
from tljh_runbook.hub.system import services
from tljh_runbook.hub.user_data import homes, user_files
from tljh_runbook.hub.user_data.restic import repository

FILES = 20_000


def rows(folder: Path, rounds: int) -> Iterator[Row]:
    """Yield the one figure; both find the same parent, and neither has anything to store."""
    hub = hub_folder.build(folder / "server")
    found = settings.load(hub)
    _fill(Path(found.homes))
    with supervisor(hub, autostart="false"):
        source = Source(hub, found, services.of(hub, found))
        _component(source)
        bare = _bare(source)
        pairs = in_turn(rounds, lambda: seconds(lambda: _component(source)), lambda: _typed(bare))
    yield Row(f"user data, {FILES} files, none changed", "restic alone", "s", 1.1, pairs)


def _fill(place: Path) -> None:
    """Write files of 1 to 20 KB, a hundred in a folder."""
    chance = random.Random(7)  # noqa: S311 - the same files each time
    for number in range(FILES):
        folder = place / "alice" / f"{number // 100:03}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number}.ipynb").write_bytes(chance.randbytes(chance.randint(1000, 20_000)))


def _component(source: Source) -> None:
    folder = Path(source.settings.homes).parent / "out"
    made = Folder(folder, "user-data", source.hub, "20260101T000000Z", alone=True)
    assert COMPONENT.capture(source, made)["files"] >= FILES // 100


def _bare(source: Source) -> list[str]:
    """Return what the component types, without the tags."""
    opened, found = repository.opened(source, make=True), homes.find(source)
    reach = ["--repo", opened.address, "--password-file", str(opened.password_file)]
    command = ["restic", "--json", "--no-cache", *reach, "backup", "--host", opened.name]
    return [*command, *user_files.excludes(source, found.paths), "--", *map(str, found.paths)]


def _typed(command: list[str]) -> float:
    slow = os.environ | {"RESTIC_PROGRESS_FPS": "2"}  # as the component has it
    run = partial(subprocess.run, command, env=slow, check=True, capture_output=True)
    return seconds(run)
