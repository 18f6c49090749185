"""Components: the things on a hub that are worth keeping, one file each.

A module of this package is a component when it has a ``COMPONENT``.  Adding one is adding its
file here and its step in the guide; nothing else lists them.
"""

from __future__ import annotations

import importlib
import pkgutil
from typing import TYPE_CHECKING, Any, Protocol

from tljh_runbook.errors import StepUnknown

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tljh_runbook.hub.context import Source
    from tljh_runbook.hub.snapshots.draft import Folder
    from tljh_runbook.hub.snapshots.manifest import Manifest
    from tljh_runbook.hub.snapshots.restoration import Action, Restoration


STOPPED = 50  # components of this order and beyond are restored while the hub is stopped
# What cannot be reached while a component is restored.
NOTHING, HUB = "nothing", "the hub; users' servers keep answering"
PROXY = f"{HUB}, but for one or two seconds"


class Component(Protocol):
    """All that is known of one component."""

    name: str
    title: str
    order: int
    """Its place in restoring, lowest first: accounts come before the files that they own."""
    kept: tuple[str, ...]
    """What is kept, one short line of MyST each."""
    left_out: tuple[tuple[str, str], ...]
    """What is deliberately not kept, and why: two short texts of MyST each."""
    downtime: str
    """What cannot be reached while it is restored, and when that differs: one line of MyST."""

    def size(self, source: Source) -> int:
        """Return about how many bytes a copy will take in the folder of the snapshots."""

    def capture(self, source: Source, folder: Folder) -> dict[str, Any]:
        """Copy the component into ``folder`` while the hub runs; return what to remember.

        ``note`` in it is a line for the person who makes the backup: what could not be kept, why,
        and what to do about it.
        """

    def by_hand(self, manifest: Manifest) -> Iterable[str]:
        """Yield the shell commands that give the component back without this tool."""

    def restore(self, restoration: Restoration) -> Iterable[Action]:
        """Yield what restoring it takes, nothing where all is as kept. Looks only."""


def every() -> tuple[Component, ...]:
    """Return all components, in the order in which they are restored."""
    names = [module.name for module in pkgutil.iter_modules(__path__)]
    modules = (importlib.import_module(f"{__name__}.{name}") for name in names)
    return tuple(sorted((module.COMPONENT for module in modules), key=lambda each: each.order))


def chosen(names: Iterable[str]) -> tuple[Component, ...]:
    """Return the components of these names, all when there are none. Raises `StepUnknown`."""
    known = {component.name: component for component in every()}
    wanted = tuple(names) or tuple(known)
    for name in wanted:
        if name not in known:
            raise StepUnknown(
                f"There is no component called {name!r}. Nothing was changed.",
                hint=f"Choose among {', '.join(known)}; or name none, and all are kept.",
            )
    return tuple(known[name] for name in known if name in wanted)
