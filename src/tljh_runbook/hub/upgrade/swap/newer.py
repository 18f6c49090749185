"""The environments that a rollback replaced, retained until the next upgrade."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from tljh_runbook.hub.core import copies, files
from tljh_runbook.hub.core.layout import Hub
from tljh_runbook.hub.upgrade.swap import environment_swap
from tljh_runbook.hub.upgrade.swap.rollback_plan import Way


def retain(hub: Hub, plan: Way) -> None:
    """Retain the newer environments once the old ones are live; remove the rest of their folder.

    A full disk may have taken them already: then an earlier rollback's stay. May be called again
    after it was cut off. Raises `DiskFailed`, `OSError`.
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
    """Remove what the last rollback replaced: the next upgrade needs the room."""
    copies.remove(hub.newer)


def room(hub: Hub) -> int:
    """Return how many bytes the next upgrade frees before it needs any."""
    with suppress(FileNotFoundError):
        return copies.size(hub.newer)
    return 0
