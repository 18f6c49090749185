"""What was kept, written into a folder of its own, to look at it there."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from tljh_runbook.errors import SettingsInvalid
from tljh_runbook.hub.backup import choice
from tljh_runbook.hub.backup.components import Component
from tljh_runbook.hub.core import files, trust
from tljh_runbook.hub.snapshots import exchange
from tljh_runbook.hub.snapshots.restoration import Restoration
from tljh_runbook.hub.user_data import user_data_restore


def extract(restoration: Restoration, components: Iterable[Component], folder: Path) -> list[Path]:
    """Write what was kept into a new folder, to look at it there; return the files.

    Users' files are not in the list: there may be millions.

    Each lies under the whole path that it has on the hub. Raises `SettingsInvalid` when the folder
    is there already and holds something, or when another user could lead root elsewhere.
    """
    _require_empty(folder)
    _require_trusted(folder)
    written = []
    with files.disk_errors(folder, "What was written so far is in it; nothing else was changed."):
        files.make_private(folder)
        _require_trusted(folder)  # in /tmp, another user may have made it meanwhile
        _require_empty(folder)
        chosen = tuple(components)
        _write_user_data(restoration, chosen, folder)
        for component in chosen:
            for entry in restoration.entries(component.name):
                target = folder / (entry.origin or entry.path).lstrip("/")
                files.make_private(target.parent)
                exchange.write_copy(restoration.kept.path / entry.path, target, entry)
                written.append(target)
    return written


def _require_empty(folder: Path) -> None:
    if folder.is_dir() and any(folder.iterdir()):
        raise SettingsInvalid(
            f"{folder} is not empty. Nothing was written.", hint="Name a folder that is not there."
        )


def _require_trusted(folder: Path) -> None:
    """Raise `SettingsInvalid` where another user owns, may replace or may fill the folder.

    What is not there yet is made, and belongs to root then.
    """
    reason = trust.doubt_new(folder)
    if not reason and folder.exists() and os.geteuid() == 0 and folder.stat().st_mode & 0o022:
        reason = f"others may write to the folder {folder}"
    if reason:
        raise SettingsInvalid(
            f"{folder} is no safe place for files of users: {reason}. Nothing was written.",
            hint="Name a folder that is not there, where only root may write: --into /root/look",
        )


def _write_user_data(
    restoration: Restoration, components: Sequence[Component], folder: Path
) -> None:
    kept = restoration.kept.manifest.components.get(choice.USER_DATA, {})
    if kept.get("kept") and any(each.name == choice.USER_DATA for each in components):
        folder.rmdir()  # restic is given a folder that was made for it
        user_data_restore.write_out(restoration, kept, folder)
