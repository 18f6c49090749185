"""The check for breaking changes between two releases that affect a hub."""

from __future__ import annotations

from tljh_runbook.hub.context import Source
from tljh_runbook.hub.upgrade.logins import asking, remedy
from tljh_runbook.hub.versions import releases


def check(source: Source) -> str | tuple[str, None, str, tuple[str, ...]]:
    """Return what was found; for breaking changes also a warning and the commands to type."""
    found = releases.concerns(source.hub, source.targets)
    if not found:
        return "no breaking change concerns this hub"
    told = " ".join(f"{each.change.reason} {each.change.hint}" for each in found)
    names = ", ".join(f"{each.change.name} ({each.seen})" for each in found)
    commands: tuple[str, ...] = ()
    if any(each.change.logins for each in found):
        commands = remedy.foreseen(source, asking.live(source))
        told += " To preserve today's access, and no more:" if commands else ""
    return f"breaking changes concern this hub: {names}", None, told, commands
