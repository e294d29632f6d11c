"""Walking bouts: four strides, breaks of up to 3 s joined."""

import pytest

from edge.stream.bouts import Bout, find_bouts

S = 1_000_000_000


def test_a_break_of_three_seconds_is_joined_and_a_longer_one_is_not() -> None:
    strides = [k * S for k in range(40)]
    assert find_bouts([(0, 5 * S), (8 * S, 12 * S), (15 * S + 1, 20 * S)], strides) == [
        Bout(0, 12 * S, 12, 3 * S),
        Bout(15 * S + 1, 20 * S, 4, 0),
    ]


def test_three_strides_are_no_bout_and_four_are() -> None:
    assert find_bouts([(0, 5 * S)], [0, S, 2 * S, 5 * S]) == []
    assert find_bouts([(0, 5 * S)], [0, S, 2 * S, 5 * S - 1]) == [Bout(0, 5 * S, 4, 0)]


@pytest.mark.parametrize("bad", [[(0, 2), (1, 3)], [(2, 2)], [(5, 9), (0, 3)]])
def test_intervals_out_of_order_are_refused(bad: list[tuple[int, int]]) -> None:
    with pytest.raises(ValueError, match="ascending"):
        find_bouts(bad, [])
