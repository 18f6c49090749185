"""What the figures say of what was measured; nothing here measures time."""

from __future__ import annotations

import pytest
from rows import Row, in_turn


def test_each_round_is_compared_with_itself() -> None:
    """A machine that was busy in one round was busy for both."""
    found = Row("hub away", "a restart", "s", 1.3, [(12, 10), (120, 100), (1.2, 1)]).to_json()
    assert found["ratio"] == {"median": 1.2, "min": 1.2, "max": 1.2}
    assert (found["ours"]["median"], found["peer"]["median"]) == (12, 10)
    assert (found["reached"], found["rounds"]) == (True, 3)


@pytest.mark.parametrize(
    ("pairs", "aim", "reached"),
    [
        ([(13.1, 10)], 1.3, False),
        ([(13.1, 10), (10, 10), (13.1, 10)], 1.3, False),
        ([(1, 0)], 0, False),  # nothing failed with the peer, and something with us
        ([(0, 600), (0, 600), (1, 600)], 0, False),  # each round counts
        ([(0, 600)], 0, True),
        ([(0, 0)], 0, True),
        ([(5.1, None)], 5, False),
        ([(4.9, None)], 5, True),
    ],
)
def test_an_aim_is_for_the_ratio_or_where_there_is_no_peer_for_ours(
    pairs: list[tuple[float, float | None]], aim: float, reached: bool
) -> None:
    assert Row("a figure", "a peer", "s", aim, pairs).to_json()["reached"] is reached


def test_both_are_measured_in_each_round_and_take_turns_to_be_first() -> None:
    seen: list[str] = []

    def told(who: str) -> float:
        seen.append(who)
        return len(seen)

    pairs = in_turn(3, lambda: told("ours"), lambda: told("peer"))
    assert seen == ["ours", "peer", "peer", "ours", "ours", "peer"]
    assert pairs == [(1, 2), (4, 3), (5, 6)]
