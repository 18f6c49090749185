"""Restoring a snapshot: plan, prepare, carry out while the hub is stopped, verify."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tljh_runbook.errors import HubUnhealthy, RestoreFailed, RunbookError
from tljh_runbook.hub.backup.components import Component
from tljh_runbook.hub.core import files
from tljh_runbook.hub.health import health
from tljh_runbook.hub.runs import lock
from tljh_runbook.hub.servers import running
from tljh_runbook.hub.snapshots.restoration import Action, Restoration
from tljh_runbook.hub.system import services

ROUTES = 60  # seconds within which a healthy hub adds the proxy's routes to user servers
MARK = "restore.json"
AGAIN = "Run the same restore again: it goes on."


@dataclass(frozen=True)
class Outcome:
    """What was restored; ``replaced`` are the folders that retain the replaced files."""

    actions: list[Action]
    seconds: float
    replaced: list[Path]
    restarted: bool = False
    servers: dict[str, bool] = field(default_factory=dict)
    """The user servers that ran before, and whether they respond again."""
    different: list[str] = field(default_factory=list)
    """What still differs from the snapshot after the restore, one line each."""

    def to_json(self) -> dict[str, Any]:
        return {
            "changes": [told(each) for each in self.actions],
            "seconds": self.seconds,
            "replaced": [str(folder) for folder in self.replaced],
            "restarted": self.restarted,
            "servers": self.servers,
            "different": self.different,
        }


def told(action: Action) -> dict[str, str]:
    """Return an action's fields for the JSON output."""
    return {"what": action.what, "before": action.before, "after": action.after}


def plan(restoration: Restoration, components: Iterable[Component]) -> list[Action]:
    """Return the actions of a restore, in the order in which they run. Read-only."""
    found: list[Action] = []
    wanted = tuple(components)
    restoration = replace(restoration, components=frozenset(each.name for each in wanted))
    for component in wanted:
        restoration.say(f"Comparing: {component.title}")
        found += component.restore(restoration)
    return found


def carry_out(restoration: Restoration, actions: Sequence[Action]) -> Outcome:
    """Carry out the actions while holding the hub's lock.

    Raises `Busy` and what `give_back` raises.
    """
    with lock.hold(restoration.source.hub, "the restore"):
        return give_back(restoration, actions)


def give_back(restoration: Restoration, actions: Sequence[Action]) -> Outcome:
    """Carry out the actions; the hub is stopped only for those that need it.

    The proxy keeps running, and users' servers stay available, unless an action says otherwise.

    The caller holds the hub's lock. If an action fails, the earlier ones that ran while the hub
    was stopped are undone. Raises `HubUnhealthy` and what an action raises.
    """
    start = time.monotonic()
    source = restoration.source
    again = cut_off(source.hub.work)
    if again:
        restoration.phase(f"Go on with the restore of {again['snapshot']}, which was cut off")
    answered = _answering(restoration)
    with _prepared(restoration, actions):
        refused = _while_running(restoration, [each for each in actions if not each.stopped])
        stopped = [action for action in actions if action.stopped]
        if restarted := bool(stopped) or again is not None:
            _mark(restoration)
            _while_stopped(restoration, stopped)
            _wait_for_health(restoration, actions)
            (source.hub.work / MARK).unlink()
    seen = _wait_for_servers(restoration, answered) if restarted else {}
    if refused:
        refused.add("All else was restored.")
        raise refused
    seconds = round(time.monotonic() - start, 1)
    replaced = _replaced(restoration, actions)
    return Outcome(list(actions), seconds, replaced, restarted, seen, restoration.left)


def cut_off(work: Path) -> dict[str, Any] | None:
    """Return what is recorded about an interrupted restore, or None."""
    try:
        known: dict[str, Any] = json.loads(files.read(work / MARK))
    except FileNotFoundError:
        return None
    except (OSError, ValueError):
        return {"snapshot": "unknown", "typed": "restore"}
    return known


@contextmanager
def _prepared(restoration: Restoration, actions: Sequence[Action]) -> Iterator[None]:
    """Prepare every action before the first is carried out; remove staged files at the end."""
    begun: list[Action] = []
    try:
        with _disk_errors(restoration, "Nothing was changed."):
            for action in actions:
                restoration.say(f"Preparing {action.what}")
                begun.append(action)
                action.prepare()
        yield
    finally:
        for action in begun:
            action.discard()


def _disk_errors(restoration: Restoration, state: str) -> AbstractContextManager[None]:
    """Translate system errors for administrators: a restore writes to several disks."""
    hub = restoration.source.hub
    return files.disk_errors(hub.prefix, state, hub.work, restoration.replaced)


def _while_running(restoration: Restoration, actions: Sequence[Action]) -> RestoreFailed | None:
    """Carry out actions that need no stop; if a home fails, the hub is still restored."""
    refused = None
    state = "What was restored so far is in its place."
    with _disk_errors(restoration, state):
        for action in actions:
            restoration.phase(action.what)
            try:
                action.carry_out()
            except RestoreFailed as error:
                refused = refused or error
    return refused


def _wait_for_health(restoration: Restoration, actions: Sequence[Action]) -> None:
    restoration.phase("Waiting for a healthy hub")
    source = restoration.source
    try:
        health.wait(source.hub, source.services, source.settings.upgrade.healthy_within)
    except HubUnhealthy as error:
        for folder in _replaced(restoration, actions):
            error.add(f"What was replaced is kept in {folder}.")
        raise


def _while_stopped(restoration: Restoration, actions: Sequence[Action]) -> None:
    manager = restoration.source.services
    done: list[Action] = []
    restoration.phase("Stopping the hub")
    manager.stop(services.HUB)
    try:
        if any(action.proxy for action in actions):
            restoration.phase("Stopping the proxy")
            manager.end(services.PROXY)
        with _disk_errors(restoration, "It was not restored."):
            for action in actions:
                restoration.phase(action.what)
                done.append(action)
                action.carry_out()
    except BaseException as error:
        _undo(restoration, done, error)
        raise
    finally:
        if manager.stale():  # an undo changed units after systemd had read them
            manager.reload()
        restoration.phase("Starting the hub")
        manager.start(services.PROXY)
        manager.start(services.HUB)


def _undo(restoration: Restoration, done: Sequence[Action], error: BaseException) -> None:
    """Undo what was done while the hub was stopped, last action first."""
    if any(action.undo is None for action in done):
        return  # software changes cannot be undone; `MARK` says to run it again
    with _disk_errors(restoration, f"Part of it is restored. {AGAIN}"):
        for action in reversed(done):  # leaves the hub as before, with nothing to resume
            restoration.phase(f"Undoing {action.what}")
            if action.undo:
                action.undo()
    (restoration.source.hub.work / MARK).unlink()
    if isinstance(error, RunbookError):
        error.add("What had been restored before was undone.")


def _replaced(restoration: Restoration, actions: Sequence[Action]) -> list[Path]:
    """Return the folders that retain what was replaced."""
    folders = [restoration.replaced, *(each.replaced for each in actions if each.replaced)]
    return [folder for folder in folders if folder.exists()]


def _mark(restoration: Restoration) -> None:
    """Write the state file of a restore; it is removed only when the restore finishes."""
    known = {"snapshot": restoration.kept.path.name, "typed": restoration.typed}
    path = restoration.source.hub.work / MARK
    with files.disk_errors(path.parent, "The hub runs as before."):
        path.unlink(missing_ok=True)
        files.write_new(path, json.dumps(known).encode())
        files.sync_folder(path.parent)


def _answering(restoration: Restoration) -> dict[str, Any]:
    """Return the user servers that respond now; none if the hub can no longer list them."""
    try:
        measured = running.measure(restoration.source)
    except RunbookError:
        return {}
    return {name: each for name, each in measured.items() if each["answers"]}


def _wait_for_servers(restoration: Restoration, before: dict[str, Any]) -> dict[str, bool]:
    """Wait until the hub routes to the user servers again; return which ones it routes to.

    If the hub could not list the running servers before, take them from the restored database.
    """
    deadline = time.monotonic() + ROUTES
    while True:
        now = running.measure(restoration.source)
        wanted = before or {name: {**each, "answers": True} for name, each in _alive(now)}
        same = {name: running.same(was, now.get(name)) for name, was in wanted.items()}
        # The hub will never learn of a server that is not in its database, so do not wait.
        waiting = [name for name, found in same.items() if not found and name in now]
        if not waiting or time.monotonic() > deadline:
            return same
        time.sleep(health.PAUSE)


def _alive(measured: dict[str, Any]) -> list[tuple[str, Any]]:
    return [(name, each) for name, each in measured.items() if each["started"]]
