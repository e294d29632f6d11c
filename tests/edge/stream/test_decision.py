"""The rolling decision: slow to flip, quick enough to follow, honest about the start."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from edge.stream.decision import DecisionMaker, RollingDecision

ROBUST = np.array([0.8, 0.15, 0.05], dtype=np.float32)
FRAIL = np.array([0.05, 0.15, 0.8], dtype=np.float32)


def maker() -> DecisionMaker:
    return DecisionMaker(3, half_life_windows=8.0, min_windows=4, switch_margin=0.05)


def feed(decide: DecisionMaker, probabilities: np.ndarray, times: int) -> list[RollingDecision]:  # type: ignore[type-arg]
    return [decide.add(probabilities) for _ in range(times)]


def test_no_class_before_enough_windows() -> None:
    first = feed(maker(), ROBUST, 4)
    assert [decision.class_index for decision in first] == [None, None, None, 0]
    assert first[0].reason == "too few windows"


def test_one_odd_window_does_not_flip_the_decision() -> None:
    decide = maker()
    feed(decide, ROBUST, 20)
    assert decide.add(FRAIL).class_index == 0


def test_a_certain_zero_does_not_rule_all_later_windows() -> None:
    decide = maker()
    feed(decide, ROBUST, 20)
    decide.add(np.array([0.0, 0.0, 1.0], dtype=np.float32))
    assert feed(decide, ROBUST, 10)[-1].class_index == 0


def test_a_lasting_change_is_followed_within_two_half_lives() -> None:
    decide = maker()
    feed(decide, ROBUST, 40)
    after = feed(decide, FRAIL, 16)
    assert after[-1].class_index == 2
    assert after[-1].held_windows < 16


def test_held_windows_count_from_the_change() -> None:
    decide = maker()
    held = [decision.held_windows for decision in feed(decide, ROBUST, 10)]
    assert held == [0, 0, 0, 1, 2, 3, 4, 5, 6, 7]


@given(st.lists(st.lists(st.floats(0.0, 1.0, width=32), min_size=3, max_size=3), min_size=1, max_size=40))
def test_probabilities_always_add_up_to_one(windows: list[list[float]]) -> None:
    decide = maker()
    for window in windows:
        decision = decide.add(np.array(window, dtype=np.float32))
        assert abs(decision.probabilities.sum() - 1.0) < 1e-9
        assert np.all(decision.probabilities >= 0)
