"""One figure of ours beside a peer's or a limit, both of the same run."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

Pair = tuple[float, float]


@dataclass(frozen=True)
class Row:
    """What was measured in several rounds; each round has ours and the peer's, one after the other.

    The aim is for the median ratio; where there is no peer, for the median of ours. An aim of
    nothing is for each round: one websocket that is closed is one too many.
    """

    name: str
    peer: str
    unit: str
    aim: float
    pairs: Sequence[tuple[float, float | None]]

    def to_json(self) -> dict[str, Any]:
        ours = [one for one, _ in self.pairs]
        peers = [other for _, other in self.pairs if other is not None]
        ratios = [one / other for one, other in self.pairs if other]
        judged = statistics.median(ratios or ours) if self.aim else max(ours)
        return {
            "name": self.name,
            "ours": spread(ours),
            "peer": {"name": self.peer, **spread(peers)} if peers else None,
            "ratio": spread(ratios) if ratios else None,
            "unit": self.unit,
            "aim": self.aim,
            "reached": judged <= self.aim,
            "rounds": len(self.pairs),
        }


def spread(values: Sequence[float]) -> dict[str, float]:
    """Return the median of some values and between what they lie."""
    found = {"median": statistics.median(values), "min": min(values), "max": max(values)}
    return {name: round(value, 3) for name, value in found.items()}


def seconds(action: Callable[[], object]) -> float:
    """Return how long something takes."""
    begun = time.perf_counter()
    action()
    return time.perf_counter() - begun


def in_turn(rounds: int, ours: Callable[[], float], peer: Callable[[], float]) -> list[Pair]:
    """Measure both in each round, the other one first each time: what else runs hits both alike."""
    found = []
    for number in range(rounds):
        first = peer() if number % 2 else None
        one = ours()
        found.append((one, peer() if first is None else first))
    return found
