"""The steps that take an upgrade back."""

from __future__ import annotations

from tljh_runbook.errors import NotConfirmed
from tljh_runbook.guide.steps import (
    CHANGES_NOTHING,
    NOTHING_TO_UNDO,
    Check,
    Plan,
    Run,
    Target,
    step,
)

OPTIONS = {
    "dry_run": "Show what would change, and change nothing.",
    "yes": "Do not ask.",
}


@step(
    "rollback.all",
    "Roll back",
    why="The new version does not do what you need, and the one before did.",
    changes="The previous version runs again, with its environments, units and settings; a "
    "database that was migrated is put back as it was before the upgrade.",
    check="The table names the old versions as those that run now, and no guarantee as *BROKEN*.",
    undo="Upgrade again: {step}`upgrade`. A newer database that was replaced is kept in "
    "`/var/lib/tljh-runbook`, in a folder `taken-back-` and the moment.",
    fails="The message says whether the hub runs, and which version. Where it was cut off, "
    "`tljh-runbook resume` brings it to its end.",
    default=True,
    options=OPTIONS,
)
def everything(target: Target, *, dry_run: bool = False, yes: bool = False) -> Plan:
    """Roll the last upgrade back: the previous version runs again, as long as it is retained.

    It shows what would change and which rows of the databases would be lost, and asks. Then the
    environments of the previous version, its units and its settings take their places again. A
    database is put back only where the upgrade had migrated it; the newer one is kept.

    The hub is away for one restart. Users' servers run on, but where the upgrade had restarted the
    proxy, going back restarts it as well. Nothing in a home is touched.
    """
    given = ["--dry-run"] if dry_run else []
    given += ["--yes"] if yes else []
    return [
        Check(
            ("tljh-runbook", "rollback", *given, "--hub", target.hub),
            NotConfirmed(
                "The upgrade was not rolled back.",
                hint="Nobody can be asked on a server. To do it: --yes behind rollback, and the "
                "server before it: hosts --limit SERVER"
                if target.remote
                else "To see what would be changed: invoke rollback.preview",
            ),
        )
    ]


@step(
    "rollback.preview",
    "See what going back would change",
    why="You know what would be lost before you decide.",
    changes=CHANGES_NOTHING,
    check="The table names the versions that would run then.",
    undo=NOTHING_TO_UNDO,
    fails="When no previous version is retained, there is nothing to roll back to: restore the "
    "snapshot that the upgrade started from, with {step}`restore`.",
)
def preview(target: Target) -> Plan:
    """Say which versions would run again and which rows would be lost, and change nothing."""
    return [Run(("tljh-runbook", "rollback", "--dry-run", "--hub", target.hub))]
