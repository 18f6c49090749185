"""Extraction of saved files to a separate folder, to inspect them there."""

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
    """Write saved files to a new folder to inspect them there; return their paths.

    Users' files are not in the list: there may be millions.

    Each file is stored under its full path on the hub. Raises `SettingsInvalid` if the folder
    exists and is not empty, or if another user could redirect root's writes.
    """
    _require_empty(folder)
    _require_trusted(folder)
    written = []
    with files.disk_errors(folder, "What was written so far is in it; nothing else was changed."):
        files.make_private(folder)
        _require_trusted(folder)  # in /tmp, another user may have created it meanwhile
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
    """Raise `SettingsInvalid` if another user owns, can replace or can write to the folder.

    A folder that does not exist yet will be created, and then belongs to root.
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
        folder.rmdir()  # the restic restore creates the folder itself
        user_data_restore.write_out(restoration, kept, folder)
