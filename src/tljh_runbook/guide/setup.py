"""The step that prepares a server."""

from __future__ import annotations

from tljh_runbook.guide.steps import Plan, Run, Target, ansible, step


@step(
    "setup",
    "Prepare the server",
    why="Backups and upgrades run on the server itself, and must survive a lost connection.",
    changes="The server has the command `tljh-runbook`, restic and TLJH's installer. A server that "
    "starts resumes an upgrade that a power cut interrupted.",
    check="It ends with *changed=* and a number, or with *changed=0* when everything was there.",
    undo="Remove the units and the tool as *Removing it* on the page of the command says.",
    fails="The message says what is missing. The hub was not touched. Correct the cause and run "
    "the same command again.",
)
def setup(target: Target) -> Plan:
    """Bring the tool, its settings and what an upgrade needs; change nothing of the hub.

    It is safe to repeat. After you have updated the runbook with `git pull`, run it again: the
    server then gets the new version of the tool.
    """
    given = {"tljh_prefix": target.hub} if target.hub != Target.hub else {}
    return [Run(ansible(target, "setup", given))]
