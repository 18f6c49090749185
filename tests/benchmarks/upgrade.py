"""Upgrades of a hub with users at work, beside a bare restart and beside TLJH's installer alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TypeVar

import click
from rows import Row
from working_hub import Cost, WorkingHub, working

BACK = ("rollback", "--yes")
Measured = TypeVar("Measured")


class Hub(Protocol):
    """A hub that can be upgraded to one version, and rolled back."""

    def cost(self, action: Callable[[], object]) -> Cost:
        """Do something to it, and return what that cost."""

    def restart(self) -> None:
        """Restart the hub alone."""

    def tool(self, *words: str) -> Any:
        """Run the tool. Fails where it fails."""


@dataclass(frozen=True)
class Trip:
    """One after the other, on the same hub: there and back, and a restart of each version."""

    restart_old: Cost
    upgrade: Cost
    restart_new: Cost
    nothing: Cost
    rollback: Cost


@dataclass(frozen=True)
class Round:
    """There and back with the tool, and there with TLJH's installer alone."""

    trip: Trip
    installer: Cost


def rows(folder: Path, rounds: int) -> Iterator[Row]:
    """Yield the figures of so many rounds; after Ctrl-C, of those that were whole by then."""
    with working(folder / "box") as hub:
        done = each_round(partial(_round, hub), rounds)
    yield from figures(done)


def each_round(once: Callable[[], Measured], rounds: int) -> list[Measured]:
    """Measure so many times, and tell of each; after Ctrl-C, return what was whole by then."""
    done: list[Measured] = []
    with suppress(KeyboardInterrupt):
        for _ in range(rounds):
            done.append(once())
            click.echo(str(done[-1]), err=True)
    return done


def trip(hub: Hub) -> Trip:
    """Go there and back; at the end the hub runs the old version."""
    restart_old = hub.cost(hub.restart)
    hub.tool("backup")
    upgrade = hub.cost(partial(hub.tool, "upgrade"))
    restart_new = hub.cost(hub.restart)
    nothing = hub.cost(partial(hub.tool, "upgrade"))
    return Trip(restart_old, upgrade, restart_new, nothing, hub.cost(partial(hub.tool, *BACK)))


def _round(hub: WorkingHub) -> Round:
    """Do it all once; at the end the hub is as it was first."""
    done = Round(trip(hub), hub.cost(hub.install))
    hub.put_back()
    return done


def figures(rounds: list[Round]) -> Iterator[Row]:
    """Yield what the rounds tell."""
    restart, alone = "bare restart of the new version", "TLJH's installer alone"
    pairs = [(each.trip.upgrade.away, each.trip.restart_new.away) for each in rounds]
    yield Row("upgrade: hub away", restart, "s", 1.3, pairs)
    failed = [(each.trip.upgrade.failed, each.installer.failed) for each in rounds]
    yield Row(
        "upgrade: questions that users' servers did not answer", alone, "questions", 0, failed
    )
    closed = [(each.trip.upgrade.closed, each.installer.closed) for each in rounds]
    yield Row("upgrade: websockets of users closed", alone, "closed", 0, closed)
    whole = [(each.trip.upgrade.seconds, each.installer.seconds) for each in rounds]
    yield Row("upgrade: all of it", alone, "s", 2.0, whole)
    nothing = [(each.trip.nothing.seconds, None) for each in rounds]
    yield Row("upgrade with nothing to do", "", "s", 5.0, nothing)
    away = [(each.trip.nothing.away, None) for each in rounds]
    yield Row("upgrade with nothing to do: hub away", "", "s", 0, away)
    back = [(each.trip.rollback.away, each.trip.restart_old.away) for each in rounds]
    yield Row("rollback: hub away", "bare restart of the old version", "s", 1.5, back)
