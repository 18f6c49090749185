"""Components: the parts of a hub that are backed up, one module each.

A module of this package is a component if it has a ``COMPONENT``. To add one, add its module here
and its step in the guide; components are not listed anywhere else.
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


STOPPED = 50  # components of this order or higher are restored while the hub is stopped
# What is unavailable while a component is restored.
NOTHING, HUB = "nothing", "the hub; users' servers keep answering"
PROXY = f"{HUB}, but for one or two seconds"


class Component(Protocol):
    """A part of a hub that can be backed up and restored."""

    name: str
    title: str
    order: int
    """The position in the restore order, lowest first: accounts come before their files."""
    kept: tuple[str, ...]
    """What is backed up, one short line of MyST each."""
    left_out: tuple[tuple[str, str], ...]
    """What is deliberately not backed up, and why: two short MyST texts each."""
    downtime: str
    """What is unavailable while it is restored, and under which condition: one line of MyST."""

    def size(self, source: Source) -> int:
        """Return roughly how many bytes a copy takes in the snapshot folder."""

    def capture(self, source: Source, folder: Folder) -> dict[str, Any]:
        """Copy the component into ``folder`` while the hub runs; return details for the manifest.

        Their ``note`` is a line for the administrator who makes the backup: what could not be
        saved, why, and what to do about it.
        """

    def by_hand(self, manifest: Manifest) -> Iterable[str]:
        """Yield the shell commands that restore the component without this tool."""

    def restore(self, restoration: Restoration) -> Iterable[Action]:
        """Yield the actions that restore it, none if it matches the snapshot. Read-only."""


def every() -> tuple[Component, ...]:
    """Return all components in restore order."""
    names = [module.name for module in pkgutil.iter_modules(__path__)]
    modules = (importlib.import_module(f"{__name__}.{name}") for name in names)
    return tuple(sorted((module.COMPONENT for module in modules), key=lambda each: each.order))


def chosen(names: Iterable[str]) -> tuple[Component, ...]:
    """Return the components with these names, or all if there are none. Raises `StepUnknown`."""
    known = {component.name: component for component in every()}
    wanted = tuple(names) or tuple(known)
    for name in wanted:
        if name not in known:
            raise StepUnknown(
                f"There is no component called {name!r}. Nothing was changed.",
                hint=f"Choose among {', '.join(known)}; or name none, and all are kept.",
            )
    return tuple(known[name] for name in known if name in wanted)
