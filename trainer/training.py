"""Training: windows with labels go in, a network with its best weights and the story of its epochs come out.

Enters: a compiled network, training and validation windows of different people. Leaves: the same network with
the weights of the epoch whose validation loss was lowest, and a `History`. Nothing is written to disk, so a
killed run leaves nothing behind.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from edge.errors import TrainingError
from trainer.tf import keras


@dataclass(frozen=True, slots=True)
class LabelledWindows:
    """Scaled coefficients ``(n_windows, n_coefficients, n_channels)``, a label's index and a person's id for each."""

    coefficients: NDArray[np.float32]
    label_index: NDArray[np.int64]
    person_ids: NDArray[np.str_]

    def __post_init__(self) -> None:
        if self.coefficients.ndim != 3 or len(self.coefficients) == 0:
            raise ValueError(f"coefficients must be (n, n_coefficients, n_channels), got {self.coefficients.shape}")
        if self.label_index.shape != self.person_ids.shape or self.label_index.shape != (len(self.coefficients),):
            raise ValueError("label_index and person_ids must have one value a window")


@dataclass(frozen=True, slots=True)
class FitSettings:
    """The paper's by default. ``class_weights`` ``balanced`` lets each class weigh the same in the loss."""

    n_epochs: int = 25
    batch_size: int = 64
    patience_epochs: int = 3
    seed: int = 0
    class_weights: Literal["none", "balanced"] = "none"


@dataclass(frozen=True, slots=True)
class Progress:
    """Where training stands; ``remaining_s`` counts every epoch still allowed, early stopping may end it sooner."""

    epoch: int
    n_epochs: int
    windows_done: int
    n_windows: int
    windows_per_s: float
    remaining_s: float


@dataclass(frozen=True, slots=True)
class Epoch:
    """Accuracy and loss after one epoch; the losses contain the regularisation."""

    train_accuracy: float
    train_loss: float
    validation_accuracy: float
    validation_loss: float


@dataclass(frozen=True, slots=True)
class History:
    """Every epoch that was run, and the index of the one whose weights the network holds."""

    epochs: tuple[Epoch, ...]
    best_epoch: int

    @property
    def best(self) -> Epoch:
        """The epoch whose weights the network holds."""
        return self.epochs[self.best_epoch]


def fit(
    network: Any,
    train: LabelledWindows,
    validation: LabelledWindows,
    settings: FitSettings,
    on_progress: Callable[[Progress], None] | None = None,
) -> History:
    """Train until the epochs end, or the validation loss has not fallen for ``patience_epochs``; keep the best.

    ``on_progress`` is called after each batch. `TrainingError` where the loss was finite in no epoch, or
    people stand on both sides of the split.
    """
    both = sorted(set(train.person_ids.tolist()) & set(validation.person_ids.tolist()))
    if both:
        raise TrainingError(f"{len(both)} people ({both[0]} first) are in training and validation: split by person")
    n_labels = network.output_shape[-1]
    n_windows = len(train.label_index)
    weights = class_weights(train.label_index, n_labels, settings.class_weights)
    epochs: list[Epoch] = []
    best_weights: list[NDArray[np.float32]] = []
    best_epoch = -1
    start_s = time.monotonic()

    def after_batch(batch: int, logs: dict[str, float]) -> None:
        if not math.isfinite(logs["loss"]):
            network.stop_training = True
        if on_progress is not None:
            done = min((batch + 1) * settings.batch_size, n_windows)
            rate = (len(epochs) * n_windows + done) / max(time.monotonic() - start_s, 1e-9)
            remaining = (settings.n_epochs - len(epochs)) * n_windows - done
            on_progress(Progress(len(epochs) + 1, settings.n_epochs, done, n_windows, rate, remaining / rate))

    def after_epoch(_: int, logs: dict[str, float]) -> None:
        nonlocal best_weights, best_epoch
        epochs.append(Epoch(logs["accuracy"], logs["loss"], logs["val_accuracy"], logs["val_loss"]))
        lowest = epochs[best_epoch].validation_loss if best_epoch >= 0 else math.inf
        if epochs[-1].validation_loss < lowest:
            best_epoch, best_weights = len(epochs) - 1, network.get_weights()
        elif len(epochs) - 1 - max(best_epoch, 0) >= settings.patience_epochs:
            network.stop_training = True

    keras.utils.set_random_seed(settings.seed)
    network.fit(
        train.coefficients,
        keras.utils.to_categorical(train.label_index, n_labels),
        sample_weight=weights[train.label_index],
        validation_data=(
            validation.coefficients,
            keras.utils.to_categorical(validation.label_index, n_labels),
            weights[validation.label_index],
        ),
        batch_size=settings.batch_size,
        epochs=settings.n_epochs,
        verbose=0,
        callbacks=[keras.callbacks.LambdaCallback(on_batch_end=after_batch, on_epoch_end=after_epoch)],
    )
    if best_epoch < 0:
        raise TrainingError("the loss is not finite in any epoch: lower the learning rate")
    network.set_weights(best_weights)
    return History(tuple(epochs), best_epoch)


def class_weights(
    label_index: NDArray[np.int64], n_labels: int, mode: Literal["none", "balanced"]
) -> NDArray[np.float32]:
    """A weight a label ``(n_labels,)``; ``balanced`` makes the labels' sums equal, with a mean of 1 over windows.

    `TrainingError` where a label has no window.
    """
    counts = np.bincount(label_index, minlength=n_labels)
    if (counts == 0).any():
        raise TrainingError(
            f"label {int(np.argmin(counts))} has no training window: a class can't be learned from none"
        )
    if mode == "none":
        return np.ones(n_labels, np.float32)
    return (len(label_index) / (n_labels * counts)).astype(np.float32)
