"""The steps that upgrade a hub."""

from __future__ import annotations

from tljh_runbook.errors import GuaranteeBroken
from tljh_runbook.guide.steps import (
    CHANGES_NOTHING,
    NOTHING_TO_UNDO,
    Check,
    Plan,
    Run,
    Target,
    ansible,
    step,
)


def _check(target: Target) -> Run:
    return Run(("tljh-runbook", "check", "--hub", target.hub))


def _rehearse(target: Target) -> Run:
    return Run(("tljh-runbook", "rehearse", "--hub", target.hub))


def _run(target: Target) -> Run:
    variables: dict[str, str | list[str]] = {"tljh_prefix": target.hub, "tljh_run": "upgrade"}
    return Run(ansible(target, "upgrade", variables), asks=("upgrade",))


def _prove(target: Target) -> Check:
    return Check(
        ("tljh-runbook", "prove", "--hub", target.hub),
        GuaranteeBroken(
            "Not all guarantees of the upgrade held.",
            hint="Read the table above. To roll the upgrade back: invoke rollback",
        ),
    )


BACK = (
    "Roll it back: {step}`rollback`. When the previous version is not kept any more, restore the "
    "snapshot that the upgrade started from: {step}`restore`, with `--snapshot` and its name."
)

FAILED = (
    "The message says what happened, and which version runs: what failed before *Stop the hub* has "
    "touched nothing that is live, and what failed after it was undone. Correct the cause, "
    "rehearse ({step}`upgrade.rehearse`), and type the same again."
)
CHANGES = (
    "TLJH and its plugins have the versions that the settings ask for, and the settings that were "
    "unset are set. The previous version is kept."
)


@step(
    "upgrade.all",
    "Upgrade",
    why="Old versions get no corrections any more, and one that is far behind is hard to upgrade.",
    changes=CHANGES,
    check="The last table shows no guarantee as *BROKEN*.",
    undo=BACK,
    fails=FAILED,
    default=True,
)
def everything(target: Target) -> Plan:
    """Check, upgrade, and verify that the guarantees held.

    This is {step}`upgrade.check`, {step}`upgrade.run` and {step}`upgrade.verify`, one after the
    other; it stops at the first that fails. When the new version does not hold the guarantees, the
    upgrade is rolled back automatically, and the old version runs again.
    """
    return [_check(target), _run(target), _prove(target)]


@step(
    "upgrade.check",
    "Check that nothing speaks against it",
    why="You learn at noon, and not in the middle of the night, what is in the way.",
    changes=CHANGES_NOTHING,
    check="No line says *NO*. A *warning* does not stand in the way.",
    undo=NOTHING_TO_UNDO,
    fails="Each line that says *NO* has a remedy below the table. Do what it says, then check "
    "again.",
)
def check(target: Target) -> Plan:
    """Look for every reason not to upgrade now, and print the remedy for each.

    The configuration must be readable, the databases sound, the hub healthy, the disk not full,
    the installer in its place, and there must be a snapshot of the last hour. It also says in which
    *way* the upgrade would be done: prepared beside the live hub, or in place.
    """
    return [_check(target)]


@step(
    "upgrade.rehearse",
    "Rehearse",
    why="You know what the upgrade does to *your* hub before you do it.",
    changes="Nothing: the hub is copied, and the copies are removed at the end.",
    check="It ends with a table of what would change, and without an error.",
    undo=NOTHING_TO_UNDO,
    fails="It repeats the last words of what failed. The live hub was not touched, so there is no "
    "hurry: correct the cause and rehearse again.",
)
def rehearse(target: Target) -> Plan:
    """Prepare the upgrade beside the live hub, try it on copies, and say what would change.

    TLJH's installer runs on copies of the hub. The new version then loads the whole configuration,
    and migrates copies of the databases. You see which packages, settings and files would change,
    and whether the proxy restarts.

    The live hub, its users and their servers do not notice: it is safe at noon on a working day.
    It needs no snapshot. The next {step}`upgrade.run` prepares everything again.
    """
    return [_rehearse(target)]


@step(
    "upgrade.run",
    "Run the playbook",
    why="This is the upgrade itself. It checks, measures and verifies as `invoke upgrade` does.",
    changes=CHANGES,
    check="`invoke status` shows the new versions and a healthy hub.",
    undo=BACK,
    fails=FAILED,
)
def run(target: Target) -> Plan:
    """Upgrade TLJH and its plugins with the playbook `upgrade.yml`.

    The versions that the settings file asks for are installed into copies of the hub, beside the
    live one, and rehearsed there. Only then does the hub stop: the copies take the place of its
    environments, and it starts again. Users' servers run on, and the proxy restarts only where
    its program or its fixed settings have changed.

    When the hub is *healthy* (its API and its login page answer, not merely an open port), the
    guarantees are measured. When one is broken, or the hub does not become healthy, the upgrade is
    rolled back automatically. Only settings that are unset are set; what you set stays.
    When everything is already as asked, nothing is changed and nothing is restarted.

    The work is done by a process of its own on the hub. When your terminal closes or your laptop
    falls asleep, the upgrade goes on; `invoke status` shows how far it is.
    """
    return [_run(target)]


@step(
    "upgrade.security",
    "Install security updates",
    why="A known vulnerability is fixed in a minute, and nothing else changes that could surprise "
    "you.",
    changes="The packages with known vulnerabilities have the versions that fix them. TLJH, the "
    "plugins, all other packages and the settings stay as they are. The previous version is "
    "retained.",
    check="The last table shows nothing as *BROKEN*, and {step}`security` names no package with an "
    "arrow.",
    undo=BACK,
    fails=FAILED,
)
def security(target: Target) -> Plan:
    """Upgrade only the packages with known vulnerabilities, each to the version that fixes it.

    It is done like any upgrade: prepared and rehearsed on copies, swapped in with one restart of
    the hub, verified, and rolled back automatically if a guarantee is broken. It needs a snapshot
    of the last hour: {step}`backup`.

    A fix that TLJH, a plugin or another package does not allow is left out; {step}`security` says
    which, and who does not allow it.
    """
    variables: dict[str, str | list[str]] = {
        "tljh_prefix": target.hub,
        "tljh_run": ["upgrade", "--security"],
    }
    asks = ("upgrade", "--security")
    return [Run(ansible(target, "upgrade", variables), asks=asks), _prove(target)]


@step(
    "upgrade.confirm",
    "Confirm that it may stay",
    why="You have looked at the new version yourself, and want to keep it.",
    changes="The upgrade is not rolled back automatically any more. The hub itself is left alone.",
    check="It says that the upgrade stays.",
    undo=BACK,
    fails="The message says which version runs. When the time was over, the upgrade was taken "
    "back: upgrade again.",
)
def confirm(target: Target) -> Plan:
    """Let an upgrade stay that would else be rolled back automatically.

    You need it only where the option `--confirm-within` or the setting `upgrade.confirm_within`
    says so. Without either, an upgrade stays as it is.
    """
    return [Run(("tljh-runbook", "confirm", "--hub", target.hub))]


@step(
    "upgrade.verify",
    "Verify that the guarantees held",
    why="You need not believe that nothing was lost: it is measured.",
    changes=CHANGES_NOTHING,
    check="No line says *BROKEN*.",
    undo=NOTHING_TO_UNDO,
    fails="The table names what was not kept. To roll the upgrade back: {step}`rollback`.",
)
def verify(target: Target) -> Plan:
    """Measure the guarantees again and compare with what was measured before the upgrade.

    Run it as often as you like. A user server that its owner has stopped since then counts as
    gone, so it tells most right after the upgrade.
    """
    return [_prove(target)]
