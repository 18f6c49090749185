"""What was kept, written into a folder of its own, to look at it there."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from tljh_runbook.errors import SettingsInvalid
from tljh_runbook.hub import choice, exchange, files
from tljh_runbook.hub.components import Component
from tljh_runbook.hub.restoration import Restoration
from tljh_runbook.hub.user_data import homecoming


def extract(restoration: Restoration, components: Iterable[Component], folder: Path) -> list[Path]:
    """Write what was kept into a new folder, to look at it there; return the files.

    Users' files are not in the list: there may be millions.

    Each lies under the whole path that it has on the hub. Raises `SettingsInvalid` when the folder
    is there already and holds something.
    """
    if folder.is_dir() and any(folder.iterdir()):
        raise SettingsInvalid(
            f"{folder} is not empty. Nothing was written.", hint="Name a folder that is not there."
        )
    written = []
    with files.disk_errors(folder, "What was written so far is in it; nothing else was changed."):
        chosen = tuple(components)
        _write_user_data(restoration, chosen, folder)
        for component in chosen:
            for entry in restoration.entries(component.name):
                target = folder / (entry.origin or entry.path).lstrip("/")
                files.make_private(target.parent)
                exchange.write_copy(restoration.kept.path / entry.path, target, entry)
                written.append(target)
    return written


def _write_user_data(
    restoration: Restoration, components: Sequence[Component], folder: Path
) -> None:
    kept = restoration.kept.manifest.components.get(choice.USER_DATA, {})
    if kept.get("kept") and any(each.name == choice.USER_DATA for each in components):
        files.make_private(folder.parent)
        with suppress(FileNotFoundError):
            folder.rmdir()  # restic is given a folder that was made for it
        homecoming.write_out(restoration, kept, folder)
    else:
        files.make_private(folder)
