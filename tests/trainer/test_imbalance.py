"""What is done for a rare class: each means does what it says, by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.errors import TrainingError
from trainer.imbalance import class_weights, draw_shares, smote


def test_balanced_weights_let_each_class_weigh_the_same() -> None:
    labels = np.array([0] * 6 + [1] * 3 + [2])
    weights = class_weights(labels, 3, "balanced")
    np.testing.assert_allclose(np.bincount(labels, weights=weights[labels]), [10 / 3] * 3, rtol=1e-6)
    np.testing.assert_array_equal(class_weights(labels, 3, "none"), np.ones(3))


def test_weights_balance_what_is_drawn_where_not_all_is() -> None:
    labels = np.array([0] * 6 + [1] * 4)
    shares = np.array([0.05] * 6 + [0.175] * 4)
    np.testing.assert_allclose(class_weights(labels, 2, "balanced", shares) * [0.3, 0.7], 0.5, rtol=1e-6)


def test_a_class_without_windows_cannot_be_learned() -> None:
    with pytest.raises(TrainingError, match="label 1 has no training window"):
        class_weights(np.array([0, 2]), 3, "none")


@given(
    people=st.lists(st.tuples(st.integers(0, 2), st.integers(1, 9)), min_size=1, max_size=12), seed=st.integers(0, 9)
)
@settings(max_examples=50)
def test_classes_then_people_then_windows_are_drawn_alike(people: list[tuple[int, int]], seed: int) -> None:
    """Each person is a label and a number of windows, in any order, some labels perhaps with nobody."""
    rows = [(label, f"p{index}") for index, (label, n_windows) in enumerate(people) for _ in range(n_windows)]
    np.random.default_rng(seed).shuffle(rows)
    label_index = np.array([label for label, _ in rows])
    person_ids = np.array([person for _, person in rows])
    shares = draw_shares(label_index, person_ids)
    n_labels = len(set(label_index.tolist()))
    for label in set(label_index.tolist()):
        assert shares[label_index == label].sum() == pytest.approx(1 / n_labels)
        own = sorted(set(person_ids[label_index == label].tolist()))
        for person in own:
            mine = shares[person_ids == person]
            assert mine.sum() == pytest.approx(1 / (n_labels * len(own)))
            assert np.ptp(mine) < 1e-12


def test_smote_lies_between_two_windows_of_the_class_and_repeats_itself() -> None:
    rng = np.random.default_rng(0)
    labels = np.array([0] * 30 + [1] * 8)
    windows = (rng.normal(size=(38, 4, 6)) + 10 * labels[:, np.newaxis, np.newaxis]).astype(np.float32)
    made, made_labels = smote(windows, labels, seed=1)
    assert made.shape == (22, 4, 6)
    assert made.dtype == np.float32
    assert set(made_labels.tolist()) == {1}
    np.testing.assert_array_equal(made, smote(windows, labels, seed=1)[0])
    assert not np.array_equal(made, smote(windows, labels, seed=2)[0])
    rare = windows[labels == 1].reshape(8, -1)
    for window in made.reshape(22, -1):
        to_each = np.linalg.norm(rare - window, axis=1)
        detour = to_each[:, np.newaxis] + to_each - np.linalg.norm(rare[:, np.newaxis] - rare, axis=2)
        np.fill_diagonal(detour, np.inf)
        assert detour.min() < 1e-3


def test_smote_of_too_few_windows_is_refused_with_advice() -> None:
    with pytest.raises(TrainingError, match="label 1 has 5 training windows, 6 are needed; use class weights"):
        smote(np.zeros((15, 4, 6), np.float32), np.array([0] * 10 + [1] * 5), seed=0)
