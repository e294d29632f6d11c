"""Training keeps the best weights, tells how far it is, repeats itself, survives its killing, and refuses bad input."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("tensorflow", reason="needs the extra `train`")

from edge.errors import TrainingError
from tests.trainer.in_memory import array_source
from tests.trainer.small import N_COEFFICIENTS, easy_windows
from trainer.evaluate import evaluate
from trainer.network import predict
from trainer.tf import keras
from trainer.train_config import FitConfig
from trainer.training import History, Progress, fit

pytestmark = pytest.mark.train

TRAIN = easy_windows(12, 20, seed=1, prefix="a")
VALIDATION = easy_windows(6, 20, seed=2, prefix="b")
SOURCE = array_source(TRAIN, 3)
SEED = 3
INTERRUPTED = FitConfig(n_epochs=4, patience_epochs=4, schedule="cosine")


def network_of(learning_rate: float = 0.02) -> Any:
    """Noise, dropout and moving means, so that chance and state have their part in each batch.

    No LSTM: Keras takes seconds to trace one, and what is shown here holds for any network.
    """
    keras.utils.set_random_seed(SEED)
    layers = keras.layers
    network = keras.Sequential(
        [
            layers.Input((N_COEFFICIENTS, 6)),
            layers.GaussianNoise(0.2, rng_type="stateful"),
            layers.BatchNormalization(momentum=0.9),
            layers.GlobalAveragePooling1D(),
            layers.Dense(24, activation="relu"),
            layers.Dropout(0.5, rng_type="stateful"),
            layers.Dense(3, activation="softmax", kernel_regularizer=keras.regularizers.l2(0.0001)),
        ]
    )
    network.compile(keras.optimizers.Adam(learning_rate), "categorical_crossentropy", weighted_metrics=["accuracy"])
    return network


def fit_interrupted(checkpoint: Path | None, on_progress: Any = None) -> tuple[Any, History]:
    network = network_of()
    return network, fit(
        network, SOURCE, VALIDATION, INTERRUPTED, seed=SEED, checkpoint=checkpoint, on_progress=on_progress
    )


@pytest.fixture(scope="module")
def uninterrupted() -> tuple[Any, History, list[Progress]]:
    seen: list[Progress] = []
    return *fit_interrupted(None, seen.append), seen


def test_classes_that_differ_are_learned_and_the_best_weights_kept(
    uninterrupted: tuple[Any, History, list[Progress]],
) -> None:
    network, history, _ = uninterrupted
    losses = [epoch.validation_loss for epoch in history.epochs]
    assert history.best_epoch == int(np.argmin(losses))
    assert losses[-1] < losses[0]
    truth = np.eye(3)[VALIDATION.label_index]
    loss, _ = network.evaluate(VALIDATION.coefficients, truth, verbose=0, batch_size=64)
    assert loss == pytest.approx(history.best.validation_loss, rel=1e-4)
    found = evaluate(predict(network, VALIDATION.coefficients), VALIDATION.label_index, VALIDATION.person_ids)
    assert found.balanced_accuracy_by_person.value > 0.8
    assert found.accuracy_by_window.value == pytest.approx(history.best.validation_accuracy, abs=1e-6)


def test_progress_is_told_after_each_batch(uninterrupted: tuple[Any, History, list[Progress]]) -> None:
    _, _, seen = uninterrupted
    counts = [(epoch, done) for epoch in range(1, 5) for done in (64, 128, 192, 240)]
    assert [(at.epoch, at.windows_done) for at in seen] == counts
    assert all(at.windows_per_s > 0 and at.remaining_s >= 0 for at in seen)
    assert (seen[-1].remaining_s, seen[-1].n_windows, seen[-1].n_epochs) == (0, 240, 4)


def test_a_training_killed_after_two_epochs_ends_where_an_uninterrupted_one_does(
    uninterrupted: tuple[Any, History, list[Progress]], tmp_path: Path
) -> None:
    """A real process is killed in the middle of its third epoch; this one goes on from what it left."""
    straight, history, _ = uninterrupted
    checkpoint = tmp_path / "folds" / "fit.npz"
    process = subprocess.Popen(
        [sys.executable, "-c", f"import {__name__} as here; here.run_to_be_killed({str(checkpoint)!r})"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert process.stdin is not None
    assert process.stdout is not None
    for line in process.stdout:
        if line == "epoch 3, 128 windows\n":
            break
    process.kill()
    process.stdin.close()
    process.stdout.close()
    assert process.wait() == -9
    with np.load(checkpoint) as arrays:
        assert len(arrays["epochs"]) == 2
    seen: list[Progress] = []
    network, resumed = fit_interrupted(checkpoint, seen.append)
    assert [at.epoch for at in seen] == [3] * 4 + [4] * 4
    assert resumed == history
    for a, b in zip(network.get_weights(), straight.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    # Once over it stays over: nothing is trained a second time.
    again: list[Progress] = []
    assert fit_interrupted(checkpoint, again.append)[1] == history
    assert again == []


def run_to_be_killed(checkpoint: str) -> None:
    """In the process of the test above: waits in the third epoch for its end."""

    def tell(at: Progress) -> None:
        print(f"epoch {at.epoch}, {at.windows_done} windows", flush=True)
        if (at.epoch, at.windows_done) == (3, 128):
            sys.stdin.read()

    fit_interrupted(Path(checkpoint), tell)


def test_training_stops_once_patience_is_over_and_goes_back_to_the_best() -> None:
    """Labels of validation that contradict those of training: the more is learned, the worse it gets."""
    contrary = replace(VALIDATION, label_index=2 - VALIDATION.label_index)
    config = FitConfig(n_epochs=20, patience_epochs=2, batch_size=32)
    history = fit(network_of(), SOURCE, contrary, config, seed=0)
    assert len(history.epochs) == history.best_epoch + 1 + config.patience_epochs < config.n_epochs


@pytest.fixture(scope="module")
def weightless() -> tuple[History, list[float]]:
    """Two epochs of windows that weigh nothing, with the learning rate of each batch."""
    network = network_of()
    rates: list[float] = []
    history = fit(
        network,
        replace(SOURCE, class_weights=np.zeros(3, np.float32)),
        VALIDATION,
        FitConfig(n_epochs=2, patience_epochs=2, schedule="cosine"),
        seed=0,
        on_progress=lambda _: rates.append(float(network.optimizer.learning_rate.numpy())),
    )
    return history, rates


def test_cosine_lets_the_learning_rate_fall_to_nothing_over_all_epochs(
    weightless: tuple[History, list[float]],
) -> None:
    by_hand = 0.02 * 0.5 * (1 + np.cos(np.pi * np.arange(8) / 8))
    np.testing.assert_allclose(weightless[1], by_hand, rtol=1e-5)


def test_class_weights_weigh_in_training_and_in_validation(weightless: tuple[History, list[float]]) -> None:
    """Where no window weighs anything, regularisation is all that is left of either loss."""
    for epoch in weightless[0].epochs:
        assert 0 < epoch.train_loss < 0.01
        assert 0 < epoch.validation_loss < 0.01


def test_a_loss_that_is_never_finite_is_an_error_with_advice() -> None:
    with pytest.raises(TrainingError, match="lower the learning rate"):
        fit(network_of(1e30), SOURCE, VALIDATION, FitConfig(n_epochs=3), seed=0)


def test_a_person_on_both_sides_of_the_split_is_refused() -> None:
    with pytest.raises(TrainingError, match=r"12 people \(a000 first\) are in training and validation"):
        fit(network_of(), SOURCE, TRAIN, FitConfig(n_epochs=1), seed=0)
