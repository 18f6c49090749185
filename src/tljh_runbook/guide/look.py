"""The steps that only look."""

from __future__ import annotations

from tljh_runbook.guide.steps import CHANGES_NOTHING, NOTHING_TO_UNDO, Plan, Run, Target, step

FAILS = (
    "The message says what could not be read, and what to do. Nothing was changed by looking at it."
)


@step(
    "snapshots",
    "List the snapshots",
    why="You see what you can go back to, and how old it is.",
    changes=CHANGES_NOTHING,
    check="The newest snapshot is the last line.",
    undo=NOTHING_TO_UNDO,
    fails=FAILS,
    by_hand="ls /var/backups/tljh",
)
def snapshots(target: Target) -> Plan:
    """List the snapshots of the hub, oldest first."""
    return [Run(("tljh-runbook", "snapshots", "--hub", target.hub))]


@step(
    "status",
    "Show the state of the hub",
    why="Look before you change something, and again afterwards.",
    changes=CHANGES_NOTHING,
    check="The state is *healthy*.",
    undo=NOTHING_TO_UNDO,
    fails="A hub that is not healthy is shown with the reason, and with what to do. "
    "The hub's own words are in its log: `journalctl -u jupyterhub`.",
)
def status(target: Target) -> Plan:
    """Show the hub, its versions, its newest snapshot and its last upgrade."""
    return [Run(("tljh-runbook", "status", "--hub", target.hub))]
