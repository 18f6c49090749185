"""The changes that an upgrade would make to a hub; none if it is already up to date."""

from __future__ import annotations

from dataclasses import dataclass

from tljh_runbook.hub.context import Source
from tljh_runbook.hub.core import config
from tljh_runbook.hub.core.layout import Hub
from tljh_runbook.hub.core.settings import DEFAULTS
from tljh_runbook.hub.versions import interpreter, targets, versions


@dataclass(frozen=True)
class Change:
    """A change to one package or setting."""

    name: str
    before: str
    after: str


def software(source: Source) -> list[Change]:
    """Return the packages that are not at their target version, and a missing Python."""
    moved = [each for each in source.targets if each.changes]
    return _python(source.hub) + [Change(each.title, each.before, each.after) for each in moved]


def left(source: Source) -> set[str]:
    """Return the names of the changes that remain, once an upgrade's targets are resolved."""
    unmet = source.targets.left(versions.packages(source.hub))
    return {
        *(each.title for each in unmet),
        *(each.name for each in [*_python(source.hub), *settings(source)]),
    }


def remarks(source: Source) -> list[str]:
    """Return why each package that was checked for another version stays at its own."""
    known = {targets.NEWER, targets.INCOMPARABLE, targets.UNKNOWN}
    staying = [each for each in source.targets if each.why in known and each.installed]
    return [f"{each.title} stays at {each.before}: {each.note}" for each in staying]


def settings(source: Source) -> list[Change]:
    """Return the unset settings that have a default."""
    unset = config.unset(source.hub, source.settings.upgrade.defaults)
    # Show only the values of our own defaults: any other value may be a secret.
    shown = {name: str(value) if name in DEFAULTS else "set" for name, value in unset.items()}
    return [Change(name, "unset", value) for name, value in shown.items()]


def _python(hub: Hub) -> list[Change]:
    if not interpreter.gone(hub):
        return []
    after = interpreter.version(interpreter.there(hub)) or "none"
    return [Change("Python", f"{versions.python(hub)}, gone", after)]
