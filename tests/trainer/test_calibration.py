"""Calibration and abstention: figures that counting gives, and a threshold that the edge's own decisions keep to."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge.errors import TrainingError
from edge.model import Classifier
from edge.stream.decision import DecisionMaker
from tests.tiny_bundle import windows, write_tiny_bundle
from trainer.calibration import (
    RollingRows,
    abstention_threshold,
    apply_temperature,
    expected_calibration_error,
    reliability,
    risk_coverage,
    rolling_decisions,
    rolling_rows,
)
from trainer.train_config import DecisionConfig

DECISION = DecisionConfig(half_life_windows=4.0, min_windows=3, switch_margin=0.05)


@st.composite
def answers(draw: st.DrawFn) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Probabilities of three classes, some rows alike, with a truth."""
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n_rows = draw(st.integers(1, 60))
    probabilities = generator.dirichlet([draw(st.sampled_from([0.2, 1.0, 5.0]))] * 3, n_rows)
    return probabilities.round(draw(st.sampled_from([1, 6]))).astype(np.float32), generator.integers(0, 3, n_rows)


def test_the_calibration_error_is_the_distance_of_confidence_and_share_right() -> None:
    probabilities = np.array([[0.9, 0.1]] * 10 + [[0.4, 0.6]] * 10, np.float32)
    truth = np.array([0] * 7 + [1] * 3 + [1] * 6 + [0] * 4)
    bins = reliability(probabilities, truth, n_bins=10)
    assert bins.n_rows.tolist() == [10, 10]
    assert bins.confidence == pytest.approx([0.6, 0.9])
    assert bins.accuracy == pytest.approx([0.6, 0.7])
    assert expected_calibration_error(probabilities, truth, n_bins=10) == pytest.approx(0.1)


@given(answers(), st.integers(1, 20))
def test_bins_hold_every_row_once_and_their_means(
    given_answers: tuple[NDArray[np.float32], NDArray[np.int64]], n_bins: int
) -> None:
    probabilities, truth = given_answers
    bins = reliability(probabilities, truth, n_bins)
    assert bins.n_rows.sum() == len(truth)
    assert np.average(bins.confidence, weights=bins.n_rows) == pytest.approx(probabilities.max(axis=1).mean(), abs=1e-6)
    right = probabilities.argmax(axis=1) == truth
    assert np.average(bins.accuracy, weights=bins.n_rows) == pytest.approx(right.mean())
    error = expected_calibration_error(probabilities, truth, n_bins)
    assert abs(probabilities.max(axis=1).mean() - right.mean()) - 1e-6 <= error <= 1


@given(answers())
def test_the_risk_curve_is_what_counting_above_each_confidence_gives(
    given_answers: tuple[NDArray[np.float32], NDArray[np.int64]],
) -> None:
    probabilities, truth = given_answers
    confidence, wrong = probabilities.max(axis=1), probabilities.argmax(axis=1) != truth
    curve = risk_coverage(probabilities, truth)
    assert curve.least_confidence.tolist() == sorted(set(confidence.astype(float).tolist()), reverse=True)
    for least, answered, share in zip(curve.least_confidence, curve.answered_share, curve.wrong_share, strict=True):
        assert answered == pytest.approx(np.mean(confidence >= least))
        assert share == pytest.approx(np.mean(wrong[confidence >= least]))
    assert curve.answered_share[-1] == pytest.approx(1)
    assert 0 <= curve.area <= 1


def test_knowing_when_one_is_wrong_makes_a_smaller_area() -> None:
    sure, unsure = [0.9, 0.1], [0.6, 0.4]
    probabilities = np.array([sure] * 5 + [unsure] * 5, np.float32)
    knows = risk_coverage(probabilities, np.array([0] * 5 + [1] * 5))
    does_not = risk_coverage(probabilities, np.array([1] * 5 + [0] * 5))
    assert knows.wrong_share.tolist() == pytest.approx([0.0, 0.5])
    assert knows.area < does_not.area


@st.composite
def rows_of_people(draw: st.DrawFn) -> RollingRows:
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n_rows = draw(st.integers(1, 50))
    people = np.array(["p", "q", "r", "s"])[generator.integers(0, draw(st.integers(1, 4)), n_rows)]
    is_right = generator.random(n_rows) < draw(st.sampled_from([0.0, 0.5, 0.9, 1.0]))
    return RollingRows(generator.random(n_rows).round(draw(st.sampled_from([1, 6]))), is_right, people)


def wrong_share_from(rows: RollingRows, least: float) -> float:
    """By the definition: people weigh alike, a person's rows share that weight."""
    answered = wrong = 0.0
    for person in set(rows.person_ids.tolist()):
        own = rows.person_ids == person
        answered += np.mean(rows.confidence[own] >= least)
        wrong += np.mean((rows.confidence[own] >= least) & ~rows.is_right[own])
    return wrong / answered


@settings(max_examples=60)
@given(rows_of_people(), st.sampled_from([0.0, 0.05, 0.1, 0.3]))
def test_the_threshold_is_the_least_that_keeps_to_the_share(rows: RollingRows, most_wrong_share: float) -> None:
    found = abstention_threshold(rows, most_wrong_share)
    candidates = sorted({0.0, *rows.confidence.tolist()})
    shares = {least: wrong_share_from(rows, least) for least in candidates}
    sound = [least for least in candidates if shares[least] <= most_wrong_share + 1e-12]
    assert found.is_met == bool(sound)
    assert found.wrong_share == pytest.approx(shares[found.least_confidence])
    if sound:
        assert found.least_confidence == sound[0]
    else:
        assert found.wrong_share == pytest.approx(min(shares.values()))


def test_a_share_that_is_just_the_bar_is_within_it_however_it_was_summed() -> None:
    one_wrong_of_ten = np.array([True] * 3 + [False] + [True] * 6)
    rows = RollingRows(
        np.array([0.4, 0.3, 0.2, 0.3, 0.6, 0.2, 0.3, 0.8, 0.8, 0.8]), one_wrong_of_ten, np.array(["p"] * 10)
    )
    assert abstention_threshold(rows, 0.1).is_met


def test_one_long_walk_does_not_outvote_other_people() -> None:
    rows = RollingRows(
        np.array([0.9] * 98 + [0.5, 0.5]), np.array([True] * 98 + [False] * 2), np.array(["p"] * 98 + ["q", "r"])
    )
    found = abstention_threshold(rows, 0.1)
    assert (found.least_confidence, found.wrong_share) == (0.9, 0.0)
    assert found.answered_share == pytest.approx(1 / 3)


def test_without_a_single_decision_there_is_no_threshold() -> None:
    short = rolling_rows(
        np.full((2, 3), 1 / 3, np.float32), np.zeros(2, int), np.array(["p"] * 2), np.zeros(2, int), DECISION
    )
    with pytest.raises(TrainingError, match="no walk of the validation people is long enough"):
        abstention_threshold(short, 0.1)


@settings(max_examples=40)
@given(st.integers(0, 2**32 - 1), st.sampled_from([0.0, 0.1, 0.3]))
def test_what_the_edge_answers_with_the_threshold_is_wrong_no_more_often_than_promised(
    seed: int, most_wrong_share: float
) -> None:
    generator = np.random.default_rng(seed)
    walk = np.repeat(np.arange(6), 12)
    person = walk // 2
    truth = (person % 3).astype(np.int64)
    noise = generator.normal(size=(len(walk), 3)) + 1.5 * np.eye(3)[generator.integers(0, 3, 6)][walk]
    probabilities = (np.exp(noise) / np.exp(noise).sum(axis=1, keepdims=True)).astype(np.float32)
    found = abstention_threshold(
        rolling_rows(probabilities, truth, person.astype(np.str_), walk, DECISION), most_wrong_share
    )
    n_answered = n_wrong = 0
    for own in (walk == index for index in range(6)):
        edge = DecisionMaker(
            3, half_life_windows=4.0, min_windows=3, switch_margin=0.05, least_confidence=found.least_confidence
        )
        held = [decision.class_index for decision in map(edge.add, probabilities[own])]
        n_answered += sum(index is not None for index in held)
        n_wrong += sum(index not in (None, truth[own][0]) for index in held)
    assert n_answered > 0
    assert n_wrong / n_answered == pytest.approx(found.wrong_share)
    assert n_wrong <= most_wrong_share * n_answered + 1e-9 or not found.is_met


def test_rolling_decisions_begin_with_the_first_window_that_has_enough_before_it() -> None:
    classes, confidence = rolling_decisions(np.array([[0.7, 0.2, 0.1]] * 5, np.float32), DECISION)
    assert classes.tolist() == [0, 0, 0]
    assert confidence == pytest.approx([0.7] * 3, abs=1e-6)
    nothing, _ = rolling_decisions(np.array([[0.7, 0.2, 0.1]] * 2, np.float32), DECISION)
    assert len(nothing) == 0


@given(answers(), st.floats(0.25, 8.0))
def test_a_temperature_keeps_the_order_and_the_sum(
    given_answers: tuple[NDArray[np.float32], NDArray[np.int64]], temperature: float
) -> None:
    probabilities, _ = given_answers
    cooled = apply_temperature(probabilities, temperature)
    assert cooled.sum(axis=1) == pytest.approx(1, abs=1e-5)
    rows = np.arange(len(cooled))
    assert cooled[rows, probabilities.argmax(axis=1)] == pytest.approx(cooled.max(axis=1))


def test_the_temperature_is_applied_as_the_edge_applies_it(tmp_path: Path) -> None:
    plain = Classifier(write_tiny_bundle(tmp_path / "plain"))
    warm = Classifier(write_tiny_bundle(tmp_path / "warm", temperature=2.0))
    some = windows(4, seed=1)
    answered = np.stack([plain.predict(window).copy() for window in some])
    expected = np.stack([warm.predict(window).copy() for window in some])
    assert np.array_equal(apply_temperature(answered, 2.0), expected)
