"""Figures by person and by window are what counting by hand gives; intervals take people as their unit."""

import numpy as np
import pytest

from trainer.evaluate import (
    balanced_accuracy,
    confusion_matrix,
    decide_by_person,
    evaluate,
    fit_temperature,
)


def test_one_sure_window_does_not_outvote_a_person_and_zero_does_not_rule_it() -> None:
    sure, mild = [0.0, 1.0], [0.9, 0.1]
    probabilities = np.array([sure] + [mild] * 6 + [[0.4, 0.6]] * 2, np.float32)
    people, answers = decide_by_person(probabilities, np.array(["b"] * 7 + ["a"] * 2))
    assert people.tolist() == ["a", "b"]
    assert answers.tolist() == [1, 0]


def test_figures_are_what_counting_gives() -> None:
    probabilities = np.array([[0.9, 0.1], [0.2, 0.8], [0.8, 0.2], [0.4, 0.6], [0.3, 0.7], [0.6, 0.4]], np.float32)
    labels = np.array([0, 0, 0, 1, 1, 0])
    people = np.array(["p", "p", "p", "q", "q", "r"])
    found = evaluate(probabilities, labels, people)
    assert found.confusion_by_window.tolist() == [[3, 1], [0, 2]]
    assert found.confusion_by_person.tolist() == [[2, 0], [0, 1]]
    assert found.balanced_accuracy_by_window.value == pytest.approx((3 / 4 + 1) / 2)
    assert found.accuracy_by_window.value == pytest.approx(5 / 6)
    assert found.balanced_accuracy_by_person.value == 1
    assert (found.n_people, found.n_windows) == (3, 6)


def test_intervals_hold_the_value_and_depend_on_people_not_on_windows() -> None:
    generator = np.random.default_rng(0)
    right = generator.random(40) < 0.7
    labels = np.arange(40) % 2
    answer = np.where(right, labels, 1 - labels)
    few = evaluate(np.eye(2, dtype=np.float32)[answer], labels, np.arange(40).astype(str))
    many = evaluate(
        np.repeat(np.eye(2, dtype=np.float32)[answer], 50, axis=0),
        np.repeat(labels, 50),
        np.repeat(np.arange(40).astype(str), 50),
    )
    assert many.accuracy_by_window == few.accuracy_by_window == few.accuracy_by_person
    interval = few.accuracy_by_person
    assert interval.lower < interval.value < interval.upper
    assert 0.2 < interval.upper - interval.lower < 0.4


def test_balanced_accuracy_leaves_out_labels_that_do_not_occur() -> None:
    assert balanced_accuracy(confusion_matrix(np.array([0, 0, 2]), np.array([0, 1, 2]), 3)) == pytest.approx(0.75)


def test_a_person_with_two_labels_is_an_error_of_the_caller() -> None:
    with pytest.raises(ValueError, match="two labels"):
        evaluate(np.eye(2, dtype=np.float32), np.array([0, 1]), np.array(["p", "p"]))


def test_the_temperature_undoes_overconfidence() -> None:
    generator = np.random.default_rng(3)
    logits = generator.normal(size=(20_000, 3))
    true = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = (true.cumsum(axis=1) < generator.random((20_000, 1))).sum(axis=1)
    overconfident = true**2 / (true**2).sum(axis=1, keepdims=True)
    assert fit_temperature(overconfident.astype(np.float32), labels) == pytest.approx(2.0, rel=0.05)
    assert fit_temperature(true.astype(np.float32), labels) == pytest.approx(1.0, rel=0.05)
