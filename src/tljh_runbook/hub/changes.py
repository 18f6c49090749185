"""What an upgrade would change on a hub: nothing, when everything is as asked."""

from __future__ import annotations

import re
from dataclasses import dataclass

from tljh_runbook.hub import config, interpreter, versions
from tljh_runbook.hub.layout import Hub
from tljh_runbook.hub.requirements import Requirement
from tljh_runbook.hub.settings import DEFAULTS, PLUGINS, TLJH
from tljh_runbook.hub.source import Source


@dataclass(frozen=True)
class Change:
    """One thing that is to be changed.

    ``hidden`` is a requirement that pip takes for satisfied: every commit of the Plasma plugin
    has the same version.
    """

    name: str
    before: str
    after: str
    hidden: Requirement | None = None


def asked(source: Source) -> list[Requirement]:
    """Return the plugins to upgrade to.

    Our defaults are for plugins that are there: a hub without Plasma does not become one.
    """
    installed = versions.packages(source.hub)
    default = source.settings.upgrade.plugins == PLUGINS
    return [each for each in source.settings.asked() if not default or each.name in installed]


def software(source: Source) -> list[Change]:
    """Return the versions and commits that are not as asked, and a Python that is gone."""
    packages = versions.packages(source.hub)
    found = _python(source.hub)
    found += _tljh(packages.get(versions.TLJH_NAME), source.settings.upgrade.tljh)
    for each in asked(source):
        package = packages.get(each.name)
        if package is None or not (package.satisfies(each) or _beyond(package, each)):
            before = package.label if package else "not installed"
            hidden = each.commit or (package and package.version == each.version)
            found.append(Change(each.name, before, each.wanted[:12], each if hidden else None))
    return found


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


def _tljh(package: versions.Package | None, asked: str) -> list[Change]:
    if package and (package.version == asked or (package.commit or "-").startswith(asked)):
        return []
    if package and asked == TLJH and _release(package.version) > _release(asked):
        return []
    return [Change("TLJH", package.version if package else "not installed", asked)]


def _beyond(package: versions.Package, asked: Requirement) -> bool:
    """Say whether a plugin is already newer than our default: a default never goes back."""
    newer = bool(asked.version) and _release(package.version) > _release(asked.version or "")
    return newer and asked.text in PLUGINS


def _release(version: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", version)]
