"""Training: batches go in, a network with its best weights and the story of its epochs come out.

Enters: a compiled network, a source of training batches, validation windows. Leaves: the same network with the weights
of the epoch whose validation loss was lowest, and a `History`. With a checkpoint a killed training goes on after its
last whole epoch, and ends where it would have ended: all that is drawn in an epoch is a function of seed and epoch.
"""

import math
import time
import zlib
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.errors import TrainingError
from trainer.batches import EpochSource, LabelledWindows
from trainer.checkpoint import FitState, load_state, save_state
from trainer.history import Epoch, History, Progress
from trainer.tf import keras, tf
from trainer.train_config import FitConfig

__all__ = ["Epoch", "History", "LabelledWindows", "Progress", "fit"]

OnProgress = Callable[[Progress], object]


class DivergedError(TrainingError):
    """No epoch had a finite loss: a fault of the settings, which other trials need not share."""


def fit(
    network: Any,
    source: EpochSource,
    validation: LabelledWindows,
    config: FitConfig,
    *,
    seed: int,
    people_apart: bool = True,
    checkpoint: Path | None = None,
    on_progress: OnProgress | None = None,
) -> History:
    """Train until the epochs end, or the validation loss has not fallen for ``patience_epochs``; keep the best.

    ``checkpoint`` is written after each epoch, and taken up where it exists; it is the caller's to remove. ``cosine``
    lets the learning rate of each batch fall from the network's own to 0 over all epochs that are allowed.
    ``on_progress`` is called after each batch. `DivergedError` where the loss was finite in no epoch, `TrainingError`
    where the checkpoint is another training's or can't be written, or people stand on both sides of a split that keeps
    ``people_apart``.
    """
    both = sorted(source.person_ids & set(validation.person_ids.tolist()))
    if both and people_apart:
        raise TrainingError(f"{len(both)} people ({both[0]} first) are in training and validation: split by person")
    run = _Run(network, source, validation, config, seed)
    identity = _identity(network, source, validation, config, seed)
    state = load_state(checkpoint, identity) if checkpoint is not None else None
    if state is None:
        state = FitState(identity, (), -1, *run.weights(), ())
    run.restore(state)
    meter = _Meter(len(source), config.n_epochs, len(state.epochs), on_progress)
    while not _is_over(state, config):
        epoch = run.epoch(len(state.epochs), meter)
        lowest = state.epochs[state.best_epoch].validation_loss if state.best_epoch >= 0 else math.inf
        weights, optimiser = run.weights()
        is_best = epoch.validation_loss < lowest
        state = FitState(
            identity,
            (*state.epochs, epoch),
            len(state.epochs) if is_best else state.best_epoch,
            weights,
            optimiser,
            weights if is_best else state.best,
        )
        if checkpoint is not None:
            save_state(checkpoint, state)
    if state.best_epoch < 0:
        raise DivergedError("the loss is not finite in any epoch: lower the learning rate")
    network.set_weights(list(state.best))
    return History(state.epochs, state.best_epoch)


class _Run:
    """A network in training: its steps as graphs, its state as arrays."""

    def __init__(
        self, network: Any, source: EpochSource, validation: LabelledWindows, config: FitConfig, seed: int
    ) -> None:
        self._network, self._source, self._validation = network, source, validation
        self._config, self._seed = config, seed
        self._first_rate = float(network.optimizer.learning_rate.numpy())
        self._one_hot = np.eye(network.output_shape[-1], dtype=np.float32)
        network.optimizer.build(network.trainable_variables)
        # The first loss and metrics make variables: made here, or each graph would be traced again without them.
        answer = tf.constant(self._one_hot[:1])
        network.compute_loss(y=answer, y_pred=answer)
        network.compute_metrics(None, answer, answer, None)
        # Not `network.fit`: it would start a pipeline of its own in each epoch, and hide where randomness comes from.
        # Batches of any size in one graph: Keras takes seconds to trace an LSTM.
        shapes = [(None, *network.input_shape[1:]), (None, network.output_shape[-1]), (None,)]
        signature = [tf.TensorSpec(shape) for shape in shapes]
        self._step = tf.function(lambda *batch: network.train_step(batch), input_signature=signature)
        self._test_step = tf.function(lambda *batch: network.test_step(batch), input_signature=signature)

    def weights(self) -> tuple[tuple[NDArray[Any], ...], tuple[NDArray[Any], ...]]:
        optimiser = tuple(variable.numpy() for variable in self._network.optimizer.variables)
        return tuple(self._network.get_weights()), optimiser

    def restore(self, state: FitState) -> None:
        self._network.set_weights(list(state.weights))
        for variable, value in zip(self._network.optimizer.variables, state.optimiser, strict=True):
            variable.assign(value)

    def epoch(self, index: int, meter: "_Meter") -> Epoch:
        network, config = self._network, self._config
        n_batches = math.ceil(len(self._source) / config.batch_size)
        network.reset_metrics()
        self._reseed(index)
        logs: dict[str, float] = {}
        batches = self._source.batches(seed=self._seed, epoch=index, batch_size=config.batch_size)
        with closing(batches):
            for place, batch in enumerate(batches):
                if config.schedule == "cosine":
                    done = (index * n_batches + place) / (config.n_epochs * n_batches)
                    network.optimizer.learning_rate.assign(self._first_rate * 0.5 * (1 + math.cos(math.pi * done)))
                answers = self._step(batch.coefficients, self._one_hot[batch.label_index], batch.weight)
                logs = {name: float(value) for name, value in answers.items()}
                if not math.isfinite(logs["loss"]):
                    break
                meter.tell(index, len(batch.label_index))
        return Epoch(logs["accuracy"], logs["loss"], *self._validate())

    def _validate(self) -> tuple[float, float]:
        truth, size = self._validation, max(self._config.batch_size, 256)
        weight = self._source.class_weights[truth.label_index]
        self._network.reset_metrics()
        answers: dict[str, Any] = {}
        for part in (slice(first, first + size) for first in range(0, len(weight), size)):
            one_hot = self._one_hot[truth.label_index[part]]
            answers = self._test_step(truth.coefficients[part], one_hot, weight[part])
        return float(answers["accuracy"]), float(answers["loss"])

    def _reseed(self, epoch: int) -> None:
        """Dropout and noise draw from generators of their layers: set for this epoch, whatever came before."""
        for index, layer in enumerate(self._network.layers):
            if isinstance(layer, keras.layers.Dropout | keras.layers.GaussianNoise):
                seed = np.random.SeedSequence([self._seed, epoch, index]).generate_state(1)
                layer._random_generator._generator.reset_from_seed(int(seed[0]))


class _Meter:
    """Counts windows; the rate is that of this process, a resumed one starts anew."""

    def __init__(self, n_windows: int, n_epochs: int, n_epochs_before: int, on_progress: OnProgress | None) -> None:
        self._n_windows, self._n_epochs, self._on_progress = n_windows, n_epochs, on_progress
        self._n_before = n_epochs_before * n_windows
        self._n_done = self._n_before
        self._start_s = time.monotonic()

    def tell(self, epoch: int, n_windows: int) -> None:
        self._n_done += n_windows
        if self._on_progress is not None:
            rate = (self._n_done - self._n_before) / max(time.monotonic() - self._start_s, 1e-9)
            remaining = self._n_epochs * self._n_windows - self._n_done
            done = self._n_done - epoch * self._n_windows
            self._on_progress(Progress(epoch + 1, self._n_epochs, done, self._n_windows, rate, remaining / rate))


def _is_over(state: FitState, config: FitConfig) -> bool:
    n_epochs = len(state.epochs)
    return (
        n_epochs >= config.n_epochs
        or (n_epochs > 0 and not math.isfinite(state.epochs[-1].train_loss))
        or n_epochs - 1 - max(state.best_epoch, 0) >= config.patience_epochs
    )


def _identity(network: Any, source: EpochSource, validation: LabelledWindows, config: FitConfig, seed: int) -> str:
    """What must be the same for a checkpoint to be taken up. The rest is in the run's folder, which is one run's."""
    rows = zlib.crc32(source.label_index.tobytes()) ^ zlib.crc32(validation.label_index.tobytes())
    shapes = zlib.crc32(repr([weight.shape for weight in network.weights]).encode())
    return (
        f"{network.count_params()} parameters {shapes:08x}, {len(source)} + {len(validation.label_index)} windows "
        f"{rows:08x}, seed {seed}, {config.n_epochs} epochs, batch {config.batch_size}, patience "
        f"{config.patience_epochs}, {config.schedule}"
    )
