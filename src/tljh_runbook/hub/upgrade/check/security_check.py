"""The check for known vulnerabilities, and what to do about them."""

from __future__ import annotations

from dataclasses import replace

from tljh_runbook.hub.context import Source
from tljh_runbook.hub.versions.security import advisories, assessment
from tljh_runbook.hub.versions.security.assessment import UP_TO_DATE, UPDATE, Assessment, listed
from tljh_runbook.hub.versions.targets import RANGE

INSTALL = "Install the fixes: tljh-runbook upgrade --security"
DETAILS = "See which: tljh-runbook security"


def check(source: Source) -> str | tuple[str, None, str]:
    """Return the security status of the hub, with a warning if action is needed.

    No finding blocks an upgrade, because an upgrade is the remedy.
    """
    newer = (each for each in source.targets if each.why == RANGE and each.changes)
    updates = tuple(f"{each.title} {each.before} → {each.after}" for each in newer)
    found = replace(assessment.of(source.hub), updates=updates)
    if found.state in {UP_TO_DATE, UPDATE}:
        return found.words
    return found.words, None, warning(found)


def warning(found: Assessment) -> str:
    """Return what to do about the problems in an assessment."""
    if found.old:
        said = f"The list of advisories is of {found.as_of}, {found.age} days old."
        return f"{said} {advisories.REFRESH}"
    if found.vulnerable:
        return f"{_vulnerable(found)} {DETAILS}"
    return (
        f"Nobody can tell from a commit whether it has a known vulnerability: "
        f"{listed(found.unknown)}. {DETAILS}"
    )


def _vulnerable(found: Assessment) -> str:
    beyond = [f"{each.name} {each.beyond}" for each in found.vulnerable if each.beyond]
    if found.fixable:
        names = listed([f"{each.name} {each.fix}" for each in found.fixable])
        return f"Known vulnerabilities are fixed in {names}. {INSTALL}."
    if beyond:
        return (
            "What is installed does not allow the versions in which known vulnerabilities are "
            f"fixed: {listed(beyond)}. A newer TLJH or plugin may: tljh-runbook upgrade."
        )
    names = listed([each.name for each in found.vulnerable])
    return f"No version is known in which the vulnerabilities are fixed: {names}."
