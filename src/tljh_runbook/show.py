"""What each command shows of what it found."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from tljh_runbook import terminal
from tljh_runbook.errors import SnapshotDamaged
from tljh_runbook.hub.backup import components
from tljh_runbook.hub.runs.journal import NAMES

if TYPE_CHECKING:
    from tljh_runbook.hub.backup.retention import Judged
    from tljh_runbook.hub.core.layout import Hub
    from tljh_runbook.hub.health.health import Look
    from tljh_runbook.hub.snapshots.manifest import Manifest
    from tljh_runbook.hub.snapshots.restoration import Action, Restoration
    from tljh_runbook.hub.snapshots.snapshot import Snapshot
    from tljh_runbook.hub.upgrade.check.checks import Finding
    from tljh_runbook.hub.upgrade.confirmation import Deadline
    from tljh_runbook.hub.upgrade.finish.rollback import Going
    from tljh_runbook.hub.upgrade.state_file import Mark

LEFT = {
    "staging": "An upgrade was cut off before it touched the live hub.",
    "proving": "An upgrade was cut off when the new version was in its place and was not proved.",
}

NAMED = 20  # things of one kind that are left out; --json names all


def findings(found: Sequence[Finding]) -> None:
    """Print what the checks found, then the remedies."""
    terminal.table(["check", "", "found"], _once(found))
    errors = {each.error.message: each.error for each in found if each.error}
    for error in errors.values():
        terminal.error(error.message, error.hint)
    for each in found:
        if each.warning:
            terminal.warning(each.warning, each.commands)


def _once(found: Sequence[Finding]) -> Iterator[list[str]]:
    """Yield a row for each check; one cause that several checks meet is said once."""
    seen: set[str] = set()
    for each in found:
        again = bool(each.error) and each.found in seen
        seen.add(each.found)
        yield [each.name, _word(each), "the same" if again else each.found]


def snapshot(made: Snapshot) -> None:
    """Print a snapshot that was just made."""
    kept = made.manifest
    terminal.line(f"Snapshot {kept.id} of {kept.hub}")
    _components(made)
    terminal.line(f"Sealed and read back: {made.path}")


def snapshots(found: Sequence[Snapshot | SnapshotDamaged]) -> None:
    """Print a list of snapshots."""
    if not found:
        terminal.line("There is no snapshot yet. Make one: tljh-runbook backup")
        return
    columns = ["snapshot", "age", "size", "components", "TLJH", "JupyterHub"]
    terminal.table(columns, [_row(each) for each in found if not isinstance(each, SnapshotDamaged)])
    for each in found:
        if isinstance(each, SnapshotDamaged):
            terminal.error(each.message, each.hint)


def contents(found: Snapshot) -> None:
    """Print what is in a snapshot."""
    kept = found.manifest
    rows = [["snapshot", kept.id], ["made", kept.created], ["hub", f"{kept.hub} on {kept.host}"]]
    terminal.table(["", ""], [*rows, *([name, label] for name, label in kept.labels.items())])
    terminal.line("")
    _components(found)
    terminal.line(f"It lies in {found.path}")


def verified(found: Snapshot, sample: int | None, user_data: str) -> None:
    """Print what was read of a snapshot."""
    count, total = len(found.manifest.files), terminal.size(found.manifest.size)
    read = f"{sample} % of the files read" if sample else "every byte as sealed"
    terminal.line(f"Snapshot {found.path.name} is whole: {count} files, {total}, {read}.")
    if user_data:
        terminal.line(f"Its {user_data}.")


def pruned(judged: Sequence[Judged], *, dry_run: bool) -> None:
    """Print which snapshots are kept, and which went."""
    word = "would go" if dry_run else "removed"
    rows = [
        [each.id, terminal.size(each.size), "kept" if each.kept else word, ", ".join(each.reasons)]
        for each in judged
    ]
    terminal.table(["snapshot", "size", "", "because"], rows)
    gone = [each for each in judged if not each.kept]
    freed = terminal.size(sum(each.size for each in gone))
    terminal.line(f"{len(gone)} of {len(judged)} {word}, {freed} in the folder of the snapshots.")


def planned(restoration: Restoration, actions: Sequence[Action]) -> None:
    """Print what restoring would change."""
    kept = restoration.kept.manifest
    terminal.line(f"From the snapshot {kept.id}, {terminal.age(restoration.kept.age)} old:")
    if not actions:
        terminal.line("Everything is as it was kept: there is nothing to restore.")
        return
    rows = [[each.what, each.before, each.after] for each in actions]
    terminal.table(["what", "now", "then"], rows)
    if any(each.proxy for each in actions):
        terminal.line("The hub and its proxy restart for it. Users' servers keep running.")
    elif any(each.stopped for each in actions):
        terminal.line("The hub restarts for it. Users' servers keep running and can be reached.")


def restored(outcome: dict[str, Any]) -> None:
    """Print what was restored."""
    if outcome["changes"]:
        healthy = ", and the hub is healthy" if outcome["restarted"] else ""
        terminal.line(f"Restored in {outcome['seconds']:.1f} s{healthy}.")
    for name, runs in outcome["servers"].items():
        terminal.line(f"The server of {name} {'runs on' if runs else 'is not known any more'}.")
    for each in outcome["different"]:
        terminal.warning(f"Still different from the snapshot: {each}.")
    for folder in outcome["replaced"]:
        terminal.line(f"What was replaced is kept in {folder}")


def ended(task: str, found: dict[str, Any]) -> None:
    """Print what a run did, as its journal tells."""
    if found:
        shown = {"backup": _made, "rehearse": forecast, "restore": _restored}
        shown.get(task, report)(found)


def _made(found: dict[str, Any]) -> None:
    terminal.line(f"Snapshot {found['id']} of {found['hub']}: {', '.join(found['components'])}")
    for note in found["notes"]:
        terminal.warning(note)
    terminal.line(f"Sealed and read back: {found['path']}")


def _restored(found: dict[str, Any]) -> None:
    if not found["changed"]:
        terminal.line("Everything is as it was kept: there is nothing to restore.")
    for each in found["changes"]:
        terminal.line(f"{each['what']}: {each['before']}, then {each['after']}")
    restored(found)


def status(
    hub: Hub,
    seen: Look,
    rows: dict[str, str],
    newest: Snapshot | SnapshotDamaged | None,
    last: str,
) -> None:
    """Print how a hub is: ``rows`` are its versions and security, ``last`` is its last upgrade."""
    first = {"hub": str(hub.prefix), "state": "; ".join(seen.wrong) or "healthy"}
    ended = {"newest snapshot": _newest(newest), "last upgrade": last}
    terminal.table(["", ""], [list(row) for row in (first | rows | ended).items()])


def unended(runs: Sequence[dict[str, Any]], left: Mark | None) -> None:
    """Print what runs, or was cut off, and what is to be brought to its end."""
    for each in runs:
        see = f"See: tljh-runbook progress {each['task']}"
        if each["task"] == "upgrade":
            continue  # it has a row among the others
        if each["running"]:
            terminal.line(f"A {NAMES[each['task']]} runs: {each['phase']}. {see}")
        elif each["cut_off"]:
            terminal.warning(f"The last {NAMES[each['task']]} was cut off before its end. {see}")
    if left:
        told = LEFT.get(left.phase, "The hub is between two versions: an upgrade was cut off.")
        terminal.warning(f"{told} Bring it to its end: tljh-runbook resume")


def retained_newer(hub: Hub) -> None:
    """Print where the environments are that a rollback replaced, if there are any."""
    if hub.newer.exists():
        terminal.line(
            f"The version that the last rollback replaced is retained in {hub.newer} until the "
            "next upgrade."
        )


def python_gone(why: str) -> None:
    """Print what to do where the hub cannot run for want of its Python."""
    if why:
        terminal.warning(
            f"The hub cannot run: {why}. An upgrade rebuilds its environment at the same versions: "
            "tljh-runbook upgrade. Or restore the newest snapshot: tljh-runbook restore"
        )


def unconfirmed(waits: Deadline | None) -> None:
    """Print until when an upgrade must be confirmed, if it must."""
    if waits:
        _to_confirm(waits.until)


def _to_confirm(until: str) -> None:
    terminal.warning(
        f"The upgrade is rolled back automatically at {until} unless you confirm it: "
        "tljh-runbook confirm"
    )


def event(each: dict[str, Any]) -> None:
    """Print one event of a run as it comes."""
    if each["kind"] == "phase":
        terminal.line(f"{each['after']:6.1f} s  {each['text']}")
    elif each["kind"] == "line" and sys.stdout.isatty():
        terminal.line(f"          {each['text'][:160]}")


def report(found: dict[str, Any]) -> None:
    """Print what an upgrade did."""
    if not found["changed"]:
        terminal.line("Everything is as asked: nothing was changed, nothing was restarted.")
        if found.get("confirm_until"):
            _to_confirm(found["confirm_until"])
        return
    if found["changes"]:
        terminal.table(["changed", "before", "now"], found["changes"])
        terminal.line("")
    elif not found.get("confirm_until"):
        terminal.line("The hub runs, with the versions that it had before.")
    if found.get("why"):
        terminal.warning(f"It was rolled back automatically. {found['why']}")
    rows = [[each["guarantee"], each["word"], each["measured"]] for each in found["verdicts"]]
    rows += [
        [f"{each['name']} away", "measured", f"{each['away']:.1f} s"] for each in found["outages"]
    ]
    if rows:
        terminal.table(["guarantee", "", "measured"], rows)
    if found.get("confirm_until"):
        _to_confirm(found["confirm_until"])
    if found.get("page"):
        terminal.line(f"The upgrade as a page, with a timeline: {found['page']}")


def forecast(found: dict[str, Any]) -> None:
    """Print what an upgrade would change."""
    if not found["would_change"]:
        terminal.line("Everything is as asked: an upgrade would change nothing.")
        return
    terminal.table(["environment", "package", "now", "then"], found["packages"])
    rows = [[f"setting {name}", now, then] for name, now, then in found["settings"]]
    rows += [[name, "", "changes"] for name in found["files"]]
    for each in found["databases"]:
        before, after = each["revisions"]
        rows.append([f"database {each['name']}", before, after if after != before else "the same"])
        rows += [
            [f"rows of {table}", str(old), str(new)] for table, (old, new) in each["rows"].items()
        ]
    rows.append(["tokens revoked", "", str(found["tokens_revoked"])])
    now, then = found.get("proxy_versions", ["", ""])
    restarts = "restarts" if found["proxy_restarts"] else "keeps running"
    rows.append(["proxy", now, restarts if now == then else f"{restarts} as {then}"])
    away = found.get("away") or {}
    rows.append(["hub away", "", _expected(away.get("hub"))])
    rows.append(["user servers away", "", _expected(away.get("servers"))])
    rows.append(["users who can log in", "", str(found["logins"]["allowed"])])
    rows.append(["disk needed", "", terminal.size(found["size"])])
    terminal.line("")
    terminal.table(["what", "now", "then"], rows)
    for title, lines in (
        ("Installed before, with apt-get", found["apt"]),
        ("Asked for, and not done", [" ".join(words) for words in found["not_done"]]),
        (
            "Edited by hand, and written again by the installer",
            list(found.get("overwritten") or {}),
        ),
        ("Would be written by the installer, and is not carried over", found["left"]),
        ("pip finds wrong", found["complaints"]),
        ("Logins", found["logins"]["warnings"]),
    ):
        for line in lines:
            terminal.warning(f"{title}: {line}")


def _expected(seconds: float | None) -> str:
    """Say how long something would be away."""
    if seconds is None:
        return "not known: no upgrade like it was measured here"
    return f"{seconds:.1f} s, as last time" if seconds else "0 s"


def rolled_back(found: Going) -> None:
    """Print what a rollback would change."""
    terminal.line(f"The upgrade of {found.at} is rolled back; it began from {found.snapshot}.")
    terminal.table(["what", "now", "then"], [*found.changes, *_other_packages(found)])
    _installed_since(found.since)
    for name, count in found.lost.items():
        terminal.warning(f"{count} rows that are newer than the upgrade would be lost: {name}")
    for name in found.born:
        if name in found.orphaned:
            terminal.warning(
                f"The server of {name} was started since. It runs on, but the hub that comes back "
                "will not know it: let its owner save and stop it before."
            )
        else:
            terminal.line(f"The server of {name} was started since: it runs on, and stays known.")


def _other_packages(found: Going) -> list[list[str]]:
    """Return the rows of other packages, where TLJH stays: a new one brings many."""
    if any(name == "TLJH" for name, *_ in found.changes):
        return []
    more = len(found.packages) - NAMED
    rest = [[f"and {more} more", "", "--json lists all"]] if more > 0 else []
    return [*found.packages[:NAMED], *rest]


def _installed_since(rows: list[list[str]] | None) -> None:
    """Print what a rollback reverts of what was installed since the upgrade."""
    if rows is None:
        terminal.line("What was installed since the upgrade is not known: it recorded no list.")
        return
    for environment, name, then, present in rows[:NAMED]:
        terminal.warning(
            f"Changed in the {environment} environment since the upgrade: {name} {then} → "
            f"{present}. The rollback reverts it."
        )
    if len(rows) > NAMED:
        terminal.warning(f"{len(rows) - NAMED} more packages changed. --json lists all of them.")


def _components(found: Snapshot) -> None:
    """Print the components of a snapshot, and what could not be kept."""
    kept = found.manifest
    rows = [[name, *_amount(kept, name)] for name in kept.components]
    terminal.table(["component", "files", "size"], rows)
    for note in found.notes:
        terminal.warning(note)
    for why in dict.fromkeys(found.left_out.values()):
        named = [what for what, each in found.left_out.items() if each == why]
        more = f" and {len(named) - NAMED} more" if len(named) > NAMED else ""
        terminal.line(f"Left out: {', '.join(named[:NAMED])}{more} ({why})")


def _amount(kept: Manifest, name: str) -> tuple[str, str]:
    """Return how many files were kept of a component, and how much that is."""
    details, found = kept.components[name], kept.of(name)
    if not details.get("kept", True):
        return "-", "not kept"
    count, total = len(found), sum(entry.size for entry in found)
    if "bytes" in details:  # what lies in a repository of its own
        count, total = details["files"], details["bytes"]
    return str(count), terminal.size(total)


def _word(each: Finding) -> str:
    if each.error:
        return "NO"
    return "warning" if each.warning else "ok"


def _row(found: Snapshot) -> list[str]:
    kept = found.manifest
    versions = [kept.labels.get(name, "") for name in ("TLJH", "JupyterHub")]
    return [
        kept.id,
        terminal.age(found.age),
        terminal.size(kept.size),
        _held(kept),
        *versions,
    ]


def _held(kept: Manifest) -> str:
    """Return what a snapshot holds, in few words when it is everything."""
    every = {component.name for component in components.every()}
    return "all" if every <= set(kept.components) else ", ".join(kept.components)


def _newest(found: Snapshot | SnapshotDamaged | None) -> str:
    if found is None:
        return "none"
    if isinstance(found, SnapshotDamaged):
        return found.message
    return f"{found.manifest.id}, {terminal.age(found.age)} old"


def last_upgrade(state: dict[str, Any], rolled_back: str) -> str:
    """Say how the last upgrade went, and whether it was rolled back later."""
    if state["running"]:
        phases = [each for each in state["events"] if each["kind"] == "phase"]
        return f"runs: {phases[-1]['text']}" if phases else "runs"
    if not state["events"]:
        return "none"
    if not state["end"]:
        return "was cut off before its end"
    end = state["end"]
    if rolled_back:
        return f"{end['at']}, rolled back at {rolled_back}"
    return f"{end['at']}, {'ended well' if not end['code'] else end['error']['message']}"
