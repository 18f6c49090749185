"""Installation of security fixes, without other changes.

Each fix is the oldest version without a known vulnerability that the other packages allow. pip is
constrained to the installed versions of all other packages, so that it changes none of them; it may
add a package that a fix requires.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tljh_runbook.errors import InstallerFailed
from tljh_runbook.hub.context import Source
from tljh_runbook.hub.core import files
from tljh_runbook.hub.core.layout import Hub
from tljh_runbook.hub.software import installer
from tljh_runbook.hub.software.installer import Elsewhere
from tljh_runbook.hub.versions import versions
from tljh_runbook.hub.versions.security import advisories, assessment
from tljh_runbook.hub.versions.targets import SECURITY

CONSTRAINTS = "security-constraints.txt"
Say = Callable[[str], None]


def install(
    source: Source, say: Say, stage: Elsewhere | None = None, *, required: bool = True
) -> bool:
    """Install fixes for known vulnerabilities; return whether there were any to install.

    A fix that can't be installed does not block the others. Raises `InstallerFailed` if none can
    be installed and fixes are ``required``.
    """
    place = stage.copy if stage else source.hub
    fixed = wanted(source, place)
    if not fixed:
        return False
    listed = source.hub.work / CONSTRAINTS
    files.replace(listed, _constraints(place, fixed).encode())
    try:
        _each_that_can_be(source, fixed, say, stage)
    except InstallerFailed as error:
        if required:
            raise
        say(f"no fix can be installed: {error.message}")
    finally:
        listed.unlink()
    return True


def wanted(source: Source, place: Hub) -> list[str]:
    """Return the pip requirements that fix ``place``: the hub, or a copy of its environments."""
    named = {each.name for each in source.targets if each.why == SECURITY}
    known = advisories.load(source.hub)  # a copy has no list of advisories
    found = assessment.of(place, known).fixable
    return [f"{each.name}=={each.fix}" for each in found if each.name in named]


def _each_that_can_be(
    source: Source, wanted: Sequence[str], say: Say, stage: Elsewhere | None
) -> None:
    try:
        _pip(source, wanted, say, stage)
    except InstallerFailed as error:
        if len(wanted) == 1 or not [each for each in wanted if _pip_can(source, each, say, stage)]:
            raise
        say(f"not all fixes can be installed: {error.message}")


def _pip_can(source: Source, wanted: str, say: Say, stage: Elsewhere | None) -> bool:
    try:
        _pip(source, [wanted], say, stage)
    except InstallerFailed:
        return False
    return True


def _pip(source: Source, wanted: Sequence[str], say: Say, stage: Elsewhere | None) -> None:
    say(f"installing {', '.join(wanted)}")
    held = ["--constraint", str(source.hub.work / CONSTRAINTS)]
    pip = [str(source.hub.python), "-m", "pip", "install", "--no-input", *held]
    installer.carry_out(source.hub, [*pip, *wanted], say, stage)


def _constraints(place: Hub, wanted: Sequence[str]) -> str:
    """Return a pip constraints file that pins every package except the ``wanted`` ones."""
    free = {each.partition("==")[0] for each in wanted}
    others = versions.packages(place).values()
    held = [each for each in others if each.name not in free]
    return "".join(f"{each.name}=={each.version}\n" for each in held)
