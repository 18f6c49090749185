"""The environments that a rollback replaced, retained until the next upgrade."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from tljh_runbook.hub.core import copies, files
from tljh_runbook.hub.core.layout import Hub
from tljh_runbook.hub.upgrade.swap import environment_swap
from tljh_runbook.hub.upgrade.swap.rollback_plan import Way


def retain(hub: Hub, plan: Way) -> None:
    """Retain the newer environments after a rollback, and remove the rest of their folder.

    If they were already removed because the disk was full, those of an earlier rollback are left in
    place. Safe to call again after it was cut off. Raises `DiskFailed`, `OSError`.
    """
    folder = Path(plan.folder)
    if not folder.exists():
        return
    if environment_swap.retain_newer(folder, plan.environments):
        forget(hub)
        folder.rename(hub.newer)
        files.sync_folder(hub.prefix)
    else:
        folder.rmdir()


def forget(hub: Hub) -> None:
    """Remove what the last rollback replaced: the next upgrade needs the space."""
    copies.remove(hub.newer)


def room(hub: Hub) -> int:
    """Return how many bytes the next upgrade frees before it uses any."""
    with suppress(FileNotFoundError):
        return copies.size(hub.newer)
    return 0
