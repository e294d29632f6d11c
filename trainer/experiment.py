"""One training run from a folder of recordings to a bundle: read top to bottom.

People with recordings go in; a bundle with its card comes out, and nothing at all where a bar is missed. Everything
that is learned (limits, scaler, weights, temperature) sees training or validation people only; the figures come from
people that no step before has seen.
"""

import datetime
import subprocess
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

import numpy as np

from edge import __version__
from edge.bundle import (
    Bundle,
    Decision,
    Manifest,
    OutlierLimits,
    Scaler,
    Training,
    Wavelet,
)
from edge.errors import DatasetError
from edge.manifest import FRAME, SCHEMA_VERSION
from edge.sources.recording import Gravity
from edge.sources.register import LABELS
from edge.stream.path import windows_of
from edge.stream.preprocess import WAVELET, SignalSpec, max_level
from edge.stream.resample import resample_all
from firmware_bridge.channels import CHANNEL_UNITS, CHANNELS
from trainer.agreement import require_enough_windows
from trainer.baseline import logistic_regression
from trainer.card import Comparison
from trainer.datasets import PersonRecording
from trainer.evaluate import evaluate, fit_temperature
from trainer.export import calibration_windows, export_bundle
from trainer.network import NetworkParameters, build_network, predict
from trainer.scaling import Scaling, learn_scaling
from trainer.splits import PersonSplit, split_by_person
from trainer.train_config import SignalConfig, TrainConfig
from trainer.training import FitSettings, LabelledWindows, Progress, fit

_INTENDED_USE = "research on gait and frailty; no medical device, not for diagnosis"
_SYNTHETIC_USE = "demonstration of the software, not valid for people; no medical device"

_TWINS = "synthetic twins"

Say = Callable[[str], object]


def run(
    people: Sequence[PersonRecording],
    config: TrainConfig,
    out: Path,
    *,
    dataset: str,
    held_out: Collection[str] = (),
    say: Say = lambda _: None,
    on_progress: Callable[[Progress], None] | None = None,
) -> Bundle:
    """Train on ``people`` and write the bundle ``out``; ``held_out`` people are only ever tested on."""
    gravity = _one_gravity(people)
    by_id = {item.person.id: item for item in people}
    labels = {item.person.id: item.person.label for item in people}
    trained_on = _trained_on(people)
    split = split_by_person(
        labels,
        validation_share=config.split.validation_share,
        test_share=config.split.test_share,
        seed=config.split.seed,
        held_out=held_out,
    )
    say(f"split by person: {len(split.train)} train, {len(split.validation)} validate, {len(split.test)} test")
    scaling = _learn_scaling([by_id[person] for person in split.train], config)
    spec = _spec(config.signal, scaling)
    train, validation, test = (
        _windows([by_id[person] for person in side], spec, config.windows_per_person)
        for side in (split.train, split.validation, split.test)
    )
    say(
        f"windows: {len(train.label_index)} train, {len(validation.label_index)} validate, {len(test.label_index)} test"
    )
    require_enough_windows(len(test.label_index))
    network = build_network(
        NetworkParameters(
            filters=config.network.filters,
            lstm_units=config.network.lstm_units,
            learning_rate=config.network.learning_rate,
            regularisation=config.network.regularisation,
            input_noise=config.network.input_noise,
        ),
        n_coefficients=spec.n_coefficients,
        n_channels=len(CHANNELS),
        n_labels=len(LABELS),
        seed=config.split.seed,
    )
    settings = FitSettings(
        n_epochs=config.fit.n_epochs,
        batch_size=config.fit.batch_size,
        patience_epochs=config.fit.patience_epochs,
        seed=config.split.seed,
        class_weights=config.fit.class_weights,
    )
    history = fit(network, train, validation, settings, on_progress)
    say(f"best of {len(history.epochs)} epochs: {history.best_epoch + 1}; converting and measuring")
    temperature = fit_temperature(predict(network, validation.coefficients), validation.label_index)
    draft = _draft(config, spec, split, labels, temperature, gravity, trained_on, dataset)
    return export_bundle(
        out,
        draft,
        network,
        calibration=calibration_windows(train, seed=config.split.seed),
        test=test,
        history=history,
        comparisons=_comparisons(by_id, split),
    )


def _one_gravity(people: Sequence[PersonRecording]) -> Gravity:
    kinds = {person.recording.gravity for person in people}
    if len(kinds) != 1:
        raise DatasetError("gravity is included in some recordings and removed in others: train on one kind")
    return kinds.pop()


def _trained_on(people: Sequence[PersonRecording]) -> str:
    """Twins say in their register what they are; a model must never pass for one of people, nor the other way round."""
    n_synthetic = sum(item.person.notes.startswith("synthetic") for item in people)
    if n_synthetic not in {0, len(people)}:
        raise DatasetError(f"{n_synthetic} of {len(people)} people are synthetic: train on one kind")
    return _TWINS if n_synthetic else "recordings of people"


def _learn_scaling(people: Sequence[PersonRecording], config: TrainConfig) -> Scaling:
    signal = config.signal
    return learn_scaling(
        (
            np.concatenate(
                [
                    piece.samples
                    for piece in resample_all(
                        person.recording.time_ns,
                        person.recording.samples,
                        rate_in_hz=person.recording.rate_hz,
                        rate_out_hz=signal.sample_rate_hz,
                        max_bridged_gap_ms=signal.max_bridged_gap_ms,
                    )
                ]
            )
            for person in people
        ),
        seed=config.split.seed,
    )


def _spec(signal: SignalConfig, scaling: Scaling) -> SignalSpec:
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
        wavelet_level=max_level(signal.window_samples),
    )


def _windows(people: Sequence[PersonRecording], spec: SignalSpec, windows_per_person: int) -> LabelledWindows:
    coefficients, label_index, person_ids = [], [], []
    for person in people:
        recording = person.recording
        windows = windows_of(recording.time_ns, recording.samples, rate_in_hz=recording.rate_hz, spec=spec)
        if not windows:
            raise DatasetError(f"{recording.path}: not one window; leave {person.person.id} out")
        # Spread evenly over the walk, so that the cap does not favour its beginning.
        n_kept = min(windows_per_person, len(windows))
        kept = np.linspace(0, len(windows) - 1, n_kept).round().astype(int)
        coefficients += [windows[i].coefficients for i in kept]
        label_index += [LABELS.index(person.person.label)] * n_kept
        person_ids += [person.person.id] * n_kept
    return LabelledWindows(np.stack(coefficients), np.array(label_index, np.int64), np.array(person_ids))


def _comparisons(by_id: dict[str, PersonRecording], split: PersonSplit) -> list[Comparison]:
    """Logistic regression on the gait figures, where the register gives them for everybody concerned."""
    gaits = {person_id: person.person.gait for person_id, person in by_id.items()}
    train = [(gait, by_id[i].person.label) for i in (*split.train, *split.validation) if (gait := gaits[i]) is not None]
    test = [(i, gait) for i in split.test if (gait := gaits[i]) is not None]
    if len(test) < len(split.test) or not train:
        return []
    probabilities = logistic_regression(
        [gait for gait, _ in train], [LABELS.index(label) for _, label in train], [gait for _, gait in test]
    )
    figures = evaluate(
        probabilities.astype(np.float32),
        np.array([LABELS.index(by_id[i].person.label) for i, _ in test]),
        np.array([i for i, _ in test]),
    )
    note = f"on the {len(test)} test people's own gait figures (means and deviations), trained on the other people's"
    return [Comparison("logistic regression", figures.balanced_accuracy_by_person, note)]


def _draft(
    config: TrainConfig,
    spec: SignalSpec,
    split: PersonSplit,
    labels: Mapping[str, str],
    temperature: float,
    gravity: Gravity,
    trained_on: str,
    dataset: str,
) -> Manifest:
    return Manifest(
        schema_version=SCHEMA_VERSION,
        name=config.name,
        created=datetime.datetime.now(datetime.UTC).replace(microsecond=0).isoformat(),
        labels=LABELS,
        sample_rate_hz=spec.rate_hz,
        window_samples=spec.window_samples,
        hop_samples=spec.hop_samples,
        channels=CHANNELS,
        units=CHANNEL_UNITS,
        frame=FRAME,
        gravity=gravity,
        max_bridged_gap_ms=spec.max_bridged_gap_ms,
        max_bridged_share=spec.max_bridged_share,
        outlier_limits=OutlierLimits(
            lower=tuple(spec.outlier_lower.tolist()), upper=tuple(spec.outlier_upper.tolist())
        ),
        scaler=Scaler(mean=tuple(spec.mean.tolist()), deviation=tuple(spec.deviation.tolist())),
        wavelet=Wavelet(name=WAVELET, level=spec.wavelet_level, n_coefficients=spec.n_coefficients),
        temperature=temperature,
        decision=Decision(
            half_life_windows=config.decision.half_life_windows,
            min_windows=config.decision.min_windows,
            switch_margin=config.decision.switch_margin,
            least_confidence=0.0,
        ),
        variants={},
        default_variant="int8",
        training=Training(
            trained_on=trained_on,
            dataset=dataset,
            split=f"by person, stratified: {len(split.train)} train, {len(split.validation)} validate, "
            f"{len(split.test)} test; at most {config.windows_per_person} windows a person",
            seed=config.split.seed,
            code_version=_code_version(),
            n_people={label: sum(own == label for own in labels.values()) for label in LABELS},
            figures={},
        ),
        intended_use=_SYNTHETIC_USE if trained_on == _TWINS else _INTENDED_USE,
    )


def _code_version() -> str:
    """The version, with the commit where this is a checkout."""
    try:
        found = subprocess.run(
            ["git", "describe", "--always", "--dirty"],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return __version__
    return f"{__version__}+{found.stdout.strip()}"
