"""One trial from start to end: what is learned from the training side alone, and what is answered for the others.

A `trainer.trial.Trial` and its store go in, a `TrialResult` comes out. Limits and scaler see training people, weights
see training windows; early stopping and temperature see validation windows; test windows are only ever answered.
Nothing is written but the checkpoint it is told of.
"""

import dataclasses
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from edge.errors import ConfigError
from edge.stream.preprocess import SignalSpec, max_level
from firmware_bridge.channels import N_CHANNELS
from trainer.baselines import BASELINES
from trainer.batches import labelled, windows_source
from trainer.evaluate import fit_temperature
from trainer.history import History, Progress
from trainer.imbalance import loss_of
from trainer.network import HAAR_LEVEL, build_network, predict
from trainer.protocols import Fold, n_people
from trainer.scaling import Scaling, learn_scaling
from trainer.store import WindowStore, capped, coefficients_of
from trainer.train_config import SignalConfig, TrainConfig
from trainer.training import DivergedError, fit
from trainer.trial import BASELINE, Answers, Trial, TrialResult

OnProgress = Callable[[Progress], object]
# So many windows are turned into coefficients at a time: a large test side never lies in memory whole.
_PART: Final = 8192


@dataclass(frozen=True, slots=True)
class Trained:
    """A network with the signal path that it was trained behind, and how training went."""

    network: Any
    spec: SignalSpec
    history: History
    temperature: float


def run_trial(
    trial: Trial, store: WindowStore, on_progress: OnProgress | None = None, *, checkpoints: Path | None = None
) -> TrialResult:
    """Run a trial whole; with a folder of ``checkpoints`` its training goes on where a killed one stopped.

    A network that diverges fails by itself: its result says so and has no answers.
    """
    started_s = time.monotonic()
    fold = trial.fold
    history: History | None = None
    if trial.method.startswith(BASELINE):
        baseline = BASELINES[trial.method.removeprefix(BASELINE)]
        validation, test = baseline(store, fold, seed=fold.seed)
        temperature = fit_temperature(validation.probabilities, validation.label_index)
    else:
        checkpoint = None if checkpoints is None else checkpoints / trial.key
        try:
            trained = train(trial.config, store, fold, on_progress, checkpoint)
        except DivergedError as error:
            nobody = no_answers(store)
            failed = result_of(trial, store, nobody, nobody, 1.0, started_s, None)
            return dataclasses.replace(failed, failed=str(error))
        validation, test = (answer(trained, store, windows) for windows in (fold.validation, fold.test))
        history, temperature = trained.history, trained.temperature
    return result_of(trial, store, validation, test, temperature, started_s, history)


def no_answers(store: WindowStore) -> Answers:
    """The answers for nobody."""
    return Answers("window", np.empty((0, len(store.labels)), np.float32), np.empty(0, np.int64), np.empty(0, np.str_))


def result_of(
    trial: Trial,
    store: WindowStore,
    validation: Answers,
    test: Answers,
    temperature: float,
    started_s: float,
    history: History | None,
) -> TrialResult:
    """A trial's answers with what it was; ``started_s`` by the monotonic clock."""
    fold = trial.fold
    return TrialResult(
        key=trial.key,
        method=trial.method,
        protocol=fold.protocol,
        fold=fold.name,
        seed=fold.seed,
        note=fold.note,
        validation=validation,
        test=test,
        temperature=temperature,
        n_train_people=n_people(store, fold.train),
        n_train_windows=len(fold.train),
        duration_s=time.monotonic() - started_s,
        history=history,
    )


def train(
    config: TrainConfig,
    store: WindowStore,
    fold: Fold,
    on_progress: OnProgress | None = None,
    checkpoint: Path | None = None,
) -> Trained:
    """Train the network of a configuration on one fold."""
    subjects = np.unique(store.subject[fold.train])
    spec = spec_of(config, learn_scaling((store.samples_of_subject(i) for i in subjects), seed=fold.seed))
    network = build_network(
        config.network,
        n_coefficients=spec.n_coefficients,
        n_channels=N_CHANNELS,
        n_labels=len(store.labels),
        seed=fold.seed,
        loss=loss_of(config.imbalance),
    )
    # Under `window` the other windows of the same people are tested: there the cap stays what the fold made of it.
    fresh = config.fit.fresh_windows and fold.protocol != "window"
    source = windows_source(
        store,
        capped(store, subjects, 0) if fresh else fold.train,
        spec,
        imbalance=config.imbalance,
        augmentation=config.augment,
        seed=fold.seed,
        windows_per_person=config.windows_per_person if fresh else 0,
    )
    validation = labelled(store, fold.validation, spec)
    history = fit(
        network,
        source,
        validation,
        config.fit,
        seed=fold.seed,
        people_apart=fold.protocol != "window",
        on_progress=on_progress,
        checkpoint=checkpoint,
    )
    temperature = fit_temperature(predict(network, validation.coefficients), validation.label_index)
    return Trained(network, spec, history, temperature)


def answer(trained: Trained, store: WindowStore, windows: NDArray[np.int64]) -> Answers:
    """What the float network says of these windows, before temperature."""
    parts = np.array_split(windows, -(-len(windows) // _PART))
    probabilities = [predict(trained.network, coefficients_of(store.raw(part), trained.spec)) for part in parts]
    return Answers("window", np.concatenate(probabilities), store.labels_of(windows), store.person_ids(windows))


def wavelet_level(config: TrainConfig) -> int:
    """The level of a configuration, the largest where none is given, as in the paper; `ConfigError` if it can't be."""
    signal = config.signal
    largest = max_level(signal.window_samples)
    level = signal.wavelet_level or largest
    if not 1 <= level <= largest:
        raise ConfigError(
            f"signal.wavelet_level is {level}: {signal.window_samples} samples have levels 1 to {largest}"
        )
    if config.network.haar_blocks and (level != HAAR_LEVEL or signal.window_samples % 2**HAAR_LEVEL):
        raise ConfigError(
            f"network.haar_blocks needs signal.wavelet_level = {HAAR_LEVEL} and windows of a multiple of "
            f"{2**HAAR_LEVEL} samples"
        )
    return level


def spec_of(config: TrainConfig, scaling: Scaling) -> SignalSpec:
    """The signal path of a configuration with what was learned for it."""
    signal: SignalConfig = config.signal
    return SignalSpec(
        rate_hz=signal.sample_rate_hz,
        window_samples=signal.window_samples,
        hop_samples=signal.hop_samples,
        max_bridged_gap_ms=signal.max_bridged_gap_ms,
        max_bridged_share=signal.max_bridged_share,
        outlier_lower=scaling.lower,
        outlier_upper=scaling.upper,
        mean=scaling.mean,
        deviation=scaling.deviation,
        wavelet_level=wavelet_level(config),
    )
