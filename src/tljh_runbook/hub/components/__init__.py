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

    from tljh_runbook.hub.layout import Hub
    from tljh_runbook.hub.manifest import Manifest
    from tljh_runbook.hub.services import Services
    from tljh_runbook.hub.settings import Settings
    from tljh_runbook.hub.snapshot import Folder


class Source(Protocol):
    """The hub that a component is captured from."""

    @property
    def hub(self) -> Hub: ...
    @property
    def settings(self) -> Settings: ...
    @property
    def services(self) -> Services: ...


class Component(Protocol):
    """All that is known of one component."""

    name: str
    title: str
    left_out: str
    """What is deliberately not kept, and why: one sentence."""

    def size(self, source: Source) -> int:
        """Return about how many bytes a copy will take."""

    def capture(self, source: Source, folder: Folder) -> dict[str, Any]:
        """Copy the component into ``folder`` while the hub runs; return what to remember."""

    def by_hand(self, manifest: Manifest) -> Iterable[str]:
        """Yield the shell commands that give the component back without this tool."""


def every() -> tuple[Component, ...]:
    """Return all components, by name."""
    names = sorted(module.name for module in pkgutil.iter_modules(__path__))
    modules = (importlib.import_module(f"{__name__}.{name}") for name in names)
    return tuple(module.COMPONENT for module in modules)


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
