"""The steps that only look."""

from __future__ import annotations

from tljh_runbook.guide.steps import Plan, Run, Target, step

LOOKED = "Nothing needs to be undone: the hub was only looked at."


@step("snapshots", "List the snapshots", check="The newest snapshot is the last line.", undo=LOOKED)
def snapshots(target: Target) -> Plan:
    """List the snapshots of the hub, oldest first."""
    return [Run(("tljh-runbook", "snapshots", "--hub", target.hub))]


@step("status", "Show the state of the hub", check="The state is *healthy*.", undo=LOOKED)
def status(target: Target) -> Plan:
    """Show the hub, its versions, its newest snapshot and its last upgrade."""
    return [Run(("tljh-runbook", "status", "--hub", target.hub))]
