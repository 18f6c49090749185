"""The steps that restore a snapshot, and that remove old ones."""

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
    "component": "Only this component.",
    "snapshot": "Not the newest snapshot, but this one.",
    "as_of": "The newest snapshot until a day (2026-01-15) or moment.",
    "user": "Only the home of this user of the hub.",
    "path": "Only this file or folder, by its whole path; with --user also below the home.",
    "into": "Write it into a new folder, to look at it first.",
    "dry_run": "Show what would change, and change nothing.",
    "yes": "Do not ask.",
}


@step(
    "restore.all",
    "Restore",
    why="Something is lost or broken, and a snapshot has it.",
    changes="What differs from the snapshot is replaced: databases, settings, plugins, accounts; "
    "and users' files that are missing come back.",
    check="The last lines say that the hub is healthy, and where the replaced files are kept.",
    undo="What was replaced is kept in the folder that the last line names, each file under its "
    "whole path. Or restore another snapshot.",
    fails="The message says what was restored already and what was not. Put right what it names, "
    "and run it again: what is as kept already is left as it is.",
    default=True,
    options=OPTIONS,
)
def everything(  # noqa: PLR0913 - each is an option that a person types
    target: Target,
    *,
    component: str = "",
    snapshot: str = "",
    as_of: str = "",
    user: str = "",
    path: str = "",
    into: str = "",
    dry_run: bool = False,
    yes: bool = False,
) -> Plan:
    """Restore the hub's state, one component, one user's home or one file, as it was.

    Without options it restores everything from the newest snapshot of the whole hub: accounts,
    databases, configuration, plugins. Of users' files it then restores only those that are
    missing: what users have changed since is theirs. It shows what it would change, and asks.

    The hub stops for a moment; users' servers keep running. They keep answering, unless a file of
    the proxy is restored. Whatever is replaced is kept.
    When it is interrupted, run it again.
    """
    texts = {"snapshot": snapshot, "as-of": as_of, "user": user, "path": path, "into": into}
    given = [word for name, text in texts.items() if text for word in (f"--{name}", text)]
    given += ["--dry-run"] if dry_run else []
    given += ["--yes"] if yes else []
    chosen = [component] if component else []
    return [
        Check(
            ("tljh-runbook", "restore", *chosen, *given, "--hub", target.hub),
            NotConfirmed(
                "Nothing was restored.",
                hint="Nobody can be asked on a server. To do it: --yes behind restore, and the "
                "server before it: hosts --limit SERVER"
                if target.remote
                else "To see what would be changed: invoke restore.preview",
            ),
        )
    ]


@step(
    "restore.preview",
    "See what restoring would change",
    why="You see every difference before anything is replaced.",
    changes=CHANGES_NOTHING,
    check="The table names every file, version and account that is not as it was kept.",
    undo=NOTHING_TO_UNDO,
    fails="The snapshot may be missing or damaged: {step}`snapshots` lists all, and the option "
    "`--snapshot` names another one.",
)
def preview(target: Target) -> Plan:
    """Compare the hub with the newest snapshot of it, and change nothing."""
    return [Run(("tljh-runbook", "restore", "--dry-run", "--hub", target.hub))]


@step(
    "prune",
    "Remove old snapshots",
    why="Snapshots fill the disk, and nobody needs a hundred of them.",
    changes="Old snapshots are deleted, and the users' files that only they need.",
    check="`tljh-runbook snapshots` lists the snapshots that were kept.",
    undo="What was removed is gone. To see first what would go: `tljh-runbook prune --dry-run`",
    fails="What was removed so far is gone, all else is as it was. The message says what to do; "
    "then run it again.",
)
def prune(target: Target) -> Plan:
    """Remove old snapshots as the settings `keep` say, and the user data that only they need.

    The newest snapshot that is whole is never removed, nor one that an upgrade may need for going
    back, nor one that cannot be read: look at that one yourself.
    """
    return [Run(("tljh-runbook", "prune", "--hub", target.hub))]
