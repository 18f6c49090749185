"""What an upgrade would change on a hub: nothing, when everything is as asked."""

from __future__ import annotations

from dataclasses import dataclass

from tljh_runbook.hub.context import Source
from tljh_runbook.hub.core import config
from tljh_runbook.hub.core.layout import Hub
from tljh_runbook.hub.core.settings import DEFAULTS
from tljh_runbook.hub.versions import interpreter, targets, versions


@dataclass(frozen=True)
class Change:
    """One thing that is to be changed."""

    name: str
    before: str
    after: str


def software(source: Source) -> list[Change]:
    """Return the packages that are not at their target, and a Python that is gone."""
    moved = [each for each in source.targets if each.changes]
    return _python(source.hub) + [Change(each.title, each.before, each.after) for each in moved]


def left(source: Source) -> set[str]:
    """Return the names of what is still to be changed, where an upgrade has resolved it."""
    unmet = source.targets.left(versions.packages(source.hub))
    return {
        *(each.title for each in unmet),
        *(each.name for each in [*_python(source.hub), *settings(source)]),
    }


def remarks(source: Source) -> list[str]:
    """Say of each package that stays, although another version was looked at, why it does."""
    known = {targets.NEWER, targets.INCOMPARABLE, targets.UNKNOWN}
    staying = [each for each in source.targets if each.why in known and each.installed]
    return [f"{each.title} stays at {each.before}: {each.note}" for each in staying]


def settings(source: Source) -> list[Change]:
    """Return the settings that are unset and have a default."""
    unset = config.unset(source.hub, source.settings.upgrade.defaults)
    # Only the values of our own defaults are shown: another may be a secret.
    shown = {name: str(value) if name in DEFAULTS else "set" for name, value in unset.items()}
    return [Change(name, "unset", value) for name, value in shown.items()]


def _python(hub: Hub) -> list[Change]:
    if not interpreter.gone(hub):
        return []
    after = interpreter.version(interpreter.there(hub)) or "none"
    return [Change("Python", f"{versions.python(hub)}, gone", after)]
