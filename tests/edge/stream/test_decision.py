"""The rolling decision: slow to flip, quick enough to follow, honest about the start."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from edge.stream.decision import DecisionMaker, RollingDecision

ROBUST = np.array([0.8, 0.15, 0.05], dtype=np.float32)
FRAIL = np.array([0.05, 0.15, 0.8], dtype=np.float32)


def maker(least_confidence: float = 0.0) -> DecisionMaker:
    return DecisionMaker(3, half_life_windows=8.0, min_windows=4, switch_margin=0.05, least_confidence=least_confidence)


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


def test_below_the_least_confidence_there_is_a_reason_and_no_class_until_it_returns() -> None:
    decide = maker(least_confidence=0.7)
    sure = feed(decide, ROBUST, 6)[-1]
    unsure = feed(decide, FRAIL, 3)[-1]
    again = feed(decide, ROBUST, 12)
    assert (sure.class_index, sure.reason, sure.held_windows) == (0, "", 3)
    assert (unsure.class_index, unsure.reason, unsure.held_windows) == (None, "low confidence", 0)
    assert unsure.probabilities.argmax() == 0
    back = next(i for i, decision in enumerate(again) if decision.class_index is not None)
    assert [decision.held_windows for decision in again] == [0] * back + list(range(1, 13 - back))


@given(
    st.lists(st.lists(st.floats(0.0, 1.0, width=32), min_size=3, max_size=3), min_size=1, max_size=40),
    st.floats(0.0, 1.0),
)
def test_abstaining_hides_what_is_below_and_changes_nothing_else(windows: list[list[float]], least: float) -> None:
    never, abstaining = maker(), maker(least)
    for window in windows:
        told = never.add(np.array(window, dtype=np.float32))
        kept = abstaining.add(np.array(window, dtype=np.float32))
        assert np.array_equal(told.probabilities, kept.probabilities)
        if told.class_index is None:
            assert kept.class_index is None
            assert kept.reason == told.reason == "too few windows"
        elif told.probabilities[told.class_index] >= least:
            assert (kept.class_index, kept.reason) == (told.class_index, "")
        else:
            assert (kept.class_index, kept.reason, kept.held_windows) == (None, "low confidence", 0)


@given(st.lists(st.lists(st.floats(0.0, 1.0, width=32), min_size=3, max_size=3), min_size=1, max_size=40))
def test_probabilities_always_add_up_to_one(windows: list[list[float]]) -> None:
    decide = maker()
    for window in windows:
        decision = decide.add(np.array(window, dtype=np.float32))
        assert abs(decision.probabilities.sum() - 1.0) < 1e-9
        assert np.all(decision.probabilities >= 0)
