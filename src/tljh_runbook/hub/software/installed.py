"""The packages of both environments, and what has changed since they were recorded."""

from __future__ import annotations

from collections.abc import Mapping

from tljh_runbook.hub.core.layout import Hub
from tljh_runbook.hub.software import user_environment
from tljh_runbook.hub.versions import versions

Packages = Mapping[str, Mapping[str, str]]  # versions by environment and name


def record(hub: Hub) -> Packages:
    """Return the installed packages; nothing is executed."""
    users = hub.prefix / "user"
    own = {name: each.label for name, each in versions.packages(hub).items()}
    return {"hub": own, "user": user_environment.labels(users)}


def since(hub: Hub, recorded: Packages) -> list[list[str]]:
    """Return the packages that were installed, changed or removed since the record.

    A row has the environment, the name, the recorded and the current version; "-" means none.
    """
    now = record(hub)
    return [
        [environment, name, then.get(name, "-"), present.get(name, "-")]
        for environment, then in recorded.items()
        for present in [now.get(environment, {})]
        for name in sorted({*then, *present})
        if then.get(name) != present.get(name)
    ]
