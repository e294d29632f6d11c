"""Training keeps the best weights, tells how far it is, repeats itself, and refuses what can't be learned from."""

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("tensorflow", reason="needs the extra `train`")

from edge.errors import TrainingError
from tests.trainer.small import SMALL, easy_windows, small_network
from trainer.evaluate import evaluate
from trainer.network import build_network, predict
from trainer.tf import keras
from trainer.training import FitSettings, LabelledWindows, Progress, class_weights, fit

pytestmark = pytest.mark.train

TRAIN = easy_windows(12, 20, seed=1, prefix="a")
VALIDATION = easy_windows(6, 20, seed=2, prefix="b")


def test_classes_that_differ_are_learned_the_best_weights_kept_and_progress_told() -> None:
    network = small_network(seed=0)
    seen: list[Progress] = []
    settings = FitSettings(n_epochs=8, patience_epochs=8, batch_size=64)
    history = fit(network, TRAIN, VALIDATION, settings, seen.append)
    losses = [epoch.validation_loss for epoch in history.epochs]
    assert history.best_epoch == int(np.argmin(losses))
    truth = keras.utils.to_categorical(VALIDATION.label_index, 3)
    loss, _ = network.evaluate(VALIDATION.coefficients, truth, verbose=0, batch_size=64)
    assert loss == pytest.approx(history.best.validation_loss, rel=1e-4)
    probabilities = predict(network, VALIDATION.coefficients)
    found = evaluate(probabilities, VALIDATION.label_index, VALIDATION.person_ids)
    assert found.balanced_accuracy_by_person.value > 0.8
    assert found.accuracy_by_window.value == pytest.approx(history.best.validation_accuracy, abs=1e-6)
    # Progress was told after each batch of 64 of the 240 windows.
    counts = [(epoch, done) for epoch in range(1, 9) for done in (64, 128, 192, 240)]
    assert [(at.epoch, at.windows_done) for at in seen] == counts
    assert all(at.windows_per_s > 0 and at.remaining_s >= 0 for at in seen)
    assert (seen[-1].remaining_s, seen[-1].n_windows, seen[-1].n_epochs) == (0, 240, 8)


def test_training_stops_once_patience_is_over_and_goes_back_to_the_best() -> None:
    """Labels of validation that contradict those of training: the more is learned, the worse it gets."""
    contrary = replace(VALIDATION, label_index=2 - VALIDATION.label_index)
    settings = FitSettings(n_epochs=20, patience_epochs=2, batch_size=32)
    history = fit(small_network(seed=0), TRAIN, contrary, settings)
    assert len(history.epochs) == history.best_epoch + 1 + settings.patience_epochs < settings.n_epochs


def test_a_seed_gives_the_same_training_again() -> None:
    settings = FitSettings(n_epochs=1, seed=3)
    first, again = small_network(seed=3), small_network(seed=3)
    assert fit(first, TRAIN, VALIDATION, settings) == fit(again, TRAIN, VALIDATION, settings)
    for a, b in zip(first.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_loss_that_is_never_finite_is_an_error_with_advice() -> None:
    network = build_network(replace(SMALL, learning_rate=1e30), n_coefficients=16, n_channels=6, n_labels=3, seed=0)
    with pytest.raises(TrainingError, match="lower the learning rate"):
        fit(network, TRAIN, VALIDATION, FitSettings(n_epochs=1))


def test_a_person_on_both_sides_of_the_split_is_refused() -> None:
    with pytest.raises(TrainingError, match=r"12 people \(a000 first\) are in training and validation"):
        fit(small_network(seed=0), TRAIN, TRAIN, FitSettings(n_epochs=1))


def test_balanced_weights_let_each_class_weigh_the_same() -> None:
    labels = np.array([0] * 6 + [1] * 3 + [2])
    weights = class_weights(labels, 3, "balanced")
    np.testing.assert_allclose(np.bincount(labels, weights=weights[labels]), [10 / 3] * 3, rtol=1e-6)
    np.testing.assert_array_equal(class_weights(labels, 3, "none"), np.ones(3))


def test_a_class_without_windows_cannot_be_learned() -> None:
    with pytest.raises(TrainingError, match="label 1 has no training window"):
        class_weights(np.array([0, 2]), 3, "none")


def test_windows_need_a_label_and_a_person_each() -> None:
    with pytest.raises(ValueError, match="one value a window"):
        LabelledWindows(TRAIN.coefficients, TRAIN.label_index[1:], TRAIN.person_ids)
    with pytest.raises(ValueError, match="must be"):
        LabelledWindows(TRAIN.coefficients[0], TRAIN.label_index, TRAIN.person_ids)
