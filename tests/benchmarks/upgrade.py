"""Upgrades of a hub with users at work, beside a bare restart and beside TLJH's installer alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import click
from rows import Row
from working_hub import Cost, WorkingHub, working


@dataclass(frozen=True)
class Round:
    """One after the other, on the same hub: there and back, and a restart of each version."""

    restart_old: Cost
    upgrade: Cost
    restart_new: Cost
    nothing: Cost
    rollback: Cost
    installer: Cost


def rows(folder: Path, rounds: int) -> Iterator[Row]:
    """Yield the figures of so many rounds; after Ctrl-C, of those that were whole by then."""
    done: list[Round] = []
    with working(folder / "box") as hub, suppress(KeyboardInterrupt):
        for _ in range(rounds):
            done.append(_round(hub))
            click.echo(str(done[-1]), err=True)
    yield from figures(done)


def _round(hub: WorkingHub) -> Round:
    """Do it all once; at the end the hub is as it was first."""
    restart_old = hub.cost(hub.restart)
    hub.tool("backup")
    upgrade = hub.cost(partial(hub.tool, "upgrade"))
    restart_new = hub.cost(hub.restart)
    nothing = hub.cost(partial(hub.tool, "upgrade"))
    rollback = hub.cost(partial(hub.tool, "rollback", "--yes"))
    installer = hub.cost(hub.install)
    hub.put_back()
    return Round(restart_old, upgrade, restart_new, nothing, rollback, installer)


def figures(rounds: list[Round]) -> Iterator[Row]:
    """Yield what the rounds tell."""
    restart, alone = "bare restart of the new version", "TLJH's installer alone"
    pairs = [(each.upgrade.away, each.restart_new.away) for each in rounds]
    yield Row("upgrade: hub away", restart, "s", 1.3, pairs)
    failed = [(each.upgrade.failed, each.installer.failed) for each in rounds]
    yield Row(
        "upgrade: questions that users' servers did not answer", alone, "questions", 0, failed
    )
    closed = [(each.upgrade.closed, each.installer.closed) for each in rounds]
    yield Row("upgrade: websockets of users closed", alone, "closed", 0, closed)
    whole = [(each.upgrade.seconds, each.installer.seconds) for each in rounds]
    yield Row("upgrade: all of it", alone, "s", 2.0, whole)
    nothing = [(each.nothing.seconds, None) for each in rounds]
    yield Row("upgrade with nothing to do", "", "s", 5.0, nothing)
    away = [(each.nothing.away, None) for each in rounds]
    yield Row("upgrade with nothing to do: hub away", "", "s", 0, away)
    back = [(each.rollback.away, each.restart_old.away) for each in rounds]
    yield Row("rollback: hub away", "bare restart of the old version", "s", 1.5, back)
