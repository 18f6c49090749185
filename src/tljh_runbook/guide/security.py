"""The steps about known vulnerabilities."""

from __future__ import annotations

from tljh_runbook.guide.steps import CHANGES_NOTHING, NOTHING_TO_UNDO, Plan, Run, Target, step


@step(
    "security.all",
    "Show known vulnerabilities",
    why="You learn what is urgent before an attacker uses it.",
    changes=CHANGES_NOTHING,
    check="The line *security* says *up to date*.",
    undo=NOTHING_TO_UNDO,
    fails="The message says what cannot be read. Nothing was changed by looking at it.",
    default=True,
)
def show(target: Target) -> Plan:
    """Compare the packages of the hub's environment with a list of advisories.

    It shows each known vulnerability in a package that is installed, and the version that fixes
    it. The list ships with this tool, so it needs no network, and nobody learns what you have
    installed.
    """
    return [Run(("tljh-runbook", "security", "--hub", target.hub))]


@step(
    "security.refresh",
    "Fetch a newer list of advisories",
    why="The list that ships with this tool only knows what was published before it.",
    changes="The list in `/var/lib/tljh-runbook`. Nothing of the hub.",
    check="The line *security* of {step}`status` names a later day.",
    undo="Remove `/var/lib/tljh-runbook/advisories.json`: the list that ships with this tool is "
    "used again.",
    fails="The message says why. The list that was in use stays in use.",
)
def refresh(target: Target) -> Plan:
    """Fetch the newest list of advisories from where the settings say."""
    return [Run(("tljh-runbook", "security", "refresh", "--hub", target.hub))]
