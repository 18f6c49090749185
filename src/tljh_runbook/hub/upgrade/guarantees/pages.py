"""The guarantee that the hub's services answer: the hub exits if one of them does not start."""

from __future__ import annotations

from typing import Any

from tljh_runbook.hub.context import Source
from tljh_runbook.hub.database import databases, hubdb
from tljh_runbook.hub.health import endpoint
from tljh_runbook.hub.system import http_client


class Pages:
    name = "services"
    statement = (
        "Every service of the hub whose pages answered before, and that is still there, answers."
    )
    order = 2

    def measure(self, source: Source) -> Any:
        found = databases.find(source.hub, source.services, source.settings)
        address = endpoint.found(source)
        pages = hubdb.services(found["jupyterhub"])
        return {name: http_client.get(address.at(base)).there for name, base in pages.items()}

    def judge(self, before: Any, after: Any) -> tuple[bool, str]:
        asked = [name for name, there in before.items() if there]
        silent = [name for name in asked if after.get(name) is False]
        if silent:
            return False, f"no answer any more: {', '.join(silent)}"
        answer = [name for name in asked if name in after]
        # The new version may no longer have the service, which does not break the guarantee.
        gone = [f"no service any more: {name}" for name in asked if name not in after]
        told = f"{len(answer)} answer: {', '.join(answer)}" if answer else "there are none"
        return True, "; ".join([told, *gone])


GUARANTEE = Pages()
