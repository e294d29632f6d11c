"""From a run's people to the bundle that the edge runs: its own split, training, abstention threshold, export.

A store and a configuration go in; a checked bundle folder comes out. Test people of the bundle are only ever answered.
"""

import dataclasses
import datetime
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from edge.bundle import (
    MANIFEST_NAME,
    Bundle,
    Decision,
    Manifest,
    OutlierLimits,
    Scaler,
    Training,
    Wavelet,
    load_bundle,
)
from edge.manifest import FRAME, SCHEMA_VERSION
from edge.stream.preprocess import WAVELET, SignalSpec
from firmware_bridge.channels import CHANNEL_UNITS, CHANNELS
from trainer.agreement import require_enough_windows
from trainer.baseline import logistic_regression
from trainer.batches import labelled
from trainer.calibration import Abstention, abstention_threshold, apply_temperature, rolling_rows
from trainer.card import Comparison, Provenance
from trainer.convert import N_CALIBRATION_WINDOWS, SHIPPED_VARIANTS
from trainer.cutting import screen_of
from trainer.datasets.dataset import Dataset
from trainer.evaluate import evaluate
from trainer.export import calibration_windows, export_bundle
from trainer.history import Progress
from trainer.protocols import Fold, require_no_leak
from trainer.run_folder import RunFolder
from trainer.running import Trained, answer, result_of, train
from trainer.splits import PersonSplit, split_by_person
from trainer.store import WindowStore, capped, coefficients_of
from trainer.summary import Summary
from trainer.train_config import TrainConfig
from trainer.trial import NETWORK, Trial, TrialResult
from trainer.versions import code_version

BUNDLE: Final = "bundle"
SYNTHETIC_USE = "demonstration of the software, not valid for people; no medical device"
_USES = {
    "frailty": "research on gait and frailty; no medical device, not for diagnosis",
    "gait-speed": "research on gait speed, says nothing of frailty; no medical device, not for diagnosis",
}
_OTHER_USE = "research on gait; no medical device, not for diagnosis"


@dataclass(frozen=True, slots=True)
class BundlePlan:
    """Who trains, validates and tests the bundle."""

    split: PersonSplit
    fold: Fold


class Listener(Protocol):
    """Whom the making of a bundle tells where it stands."""

    @property
    def say(self) -> Callable[[str], object]:
        """Gets a line for the user."""

    @property
    def start(self) -> Callable[[Trial], object]:
        """Gets the training that begins."""

    @property
    def progress(self) -> Callable[[Trial, Progress], object]:
        """Gets how far it is."""

    @property
    def done(self) -> Callable[[Trial, TrialResult], object]:
        """Gets what it answers."""


def split_people(dataset: Dataset, config: TrainConfig, held_out: Collection[str]) -> PersonSplit:
    """Who trains, validates and tests the bundle of a configuration."""
    return split_by_person(
        dataset.label_of,
        validation_share=config.bundle.validation_share,
        test_share=config.bundle.test_share,
        seed=config.bundle.seed,
        held_out=held_out,
    )


def plan_bundle(dataset: Dataset, config: TrainConfig, store: WindowStore, held_out: Collection[str]) -> BundlePlan:
    """The bundle's split by person, without leaks; `TrainingError` where its test people have too few windows."""
    split = split_people(dataset, config, held_out)
    place = {person: index for index, person in enumerate(store.subject_ids)}
    train_windows, validation, test = (
        capped(store, np.array([place[person] for person in side]), config.windows_per_person)
        for side in (split.train, split.validation, split.test)
    )
    fold = Fold("person", BUNDLE, config.bundle.seed, train_windows, validation, test)
    require_no_leak(store, fold)
    require_enough_windows(len(fold.test))
    return BundlePlan(split, fold)


def make_bundle(
    plan: BundlePlan,
    dataset: Dataset,
    config: TrainConfig,
    store: WindowStore,
    folder: RunFolder,
    summary: Summary | None,
    hooks: Listener,
) -> Bundle:
    """Train, find the abstention threshold with the shipped variant on validation people, export into the folder."""
    place = folder.path / "bundle"
    if folder.has(BUNDLE) and (place / MANIFEST_NAME).is_file():
        hooks.say(f"{place}: made before")
        return load_bundle(place)
    split, fold = plan.split, plan.fold
    hooks.say(
        f"bundle: split by person: {len(split.train)} train, {len(split.validation)} validate, {len(split.test)} test"
    )
    trial = Trial(NETWORK, fold, config)
    hooks.start(trial)
    started_s = time.monotonic()
    trained = train(config, store, fold, partial(hooks.progress, trial), folder.checkpoint(BUNDLE))
    hooks.say(f"bundle: best of {len(trained.history.epochs)} epochs: {trained.history.best_epoch + 1}; converting")
    rolling = _consecutive(store, np.unique(store.subject[fold.validation]), config.windows_per_person)

    def abstain(probabilities: NDArray[np.float32]) -> Abstention:
        """By what the edge would decide while validation people walk, answered by the variant that is shipped."""
        rows = rolling_rows(
            apply_temperature(probabilities, trained.temperature),
            store.labels_of(rolling),
            store.person_ids(rolling),
            store.walk[rolling],
            config.decision,
        )
        found = abstention_threshold(rows, config.decision.most_wrong_share)
        if not found.is_met:
            hooks.say(
                f"bundle: no threshold leaves {config.decision.most_wrong_share:.0%} or fewer wrong decisions of "
                f"validation people: {found.wrong_share:.0%} at best"
            )
        return found

    bundle = export_bundle(
        place,
        draft_manifest(config, trained, split, dataset),
        trained.network,
        calibration=_calibration(store, fold, trained.spec, config.bundle.seed),
        rolling=coefficients_of(store.raw(rolling), trained.spec),
        abstain=abstain,
        test=labelled(store, fold.test, trained.spec),
        history=trained.history,
        provenance=Provenance(dataset.credit, dataset.licence, _cross_validated(summary)),
        comparisons=_register_comparison(dataset, split),
    )
    for name in SHIPPED_VARIANTS:
        if name not in bundle.manifest.variants:
            hooks.say(f"bundle: variant {name} misses its bar and is left out: see MODEL_CARD.md")
    result = result_of(
        trial,
        store,
        answer(trained, store, fold.validation),
        answer(trained, store, fold.test),
        trained.temperature,
        started_s,
        trained.history,
    )
    folder.save(dataclasses.replace(result, key=BUNDLE))
    hooks.done(trial, result)
    return bundle


def _consecutive(store: WindowStore, subjects: NDArray[np.int64], windows_per_person: int) -> NDArray[np.int64]:
    """The first windows of each person's walks, as many as the cap allows, one after the other as they are walked."""
    owner = store.subject
    kept = [np.flatnonzero(owner == subject)[: windows_per_person or None] for subject in subjects]
    return np.concatenate(kept)


def _calibration(store: WindowStore, fold: Fold, spec: SignalSpec, seed: int) -> NDArray[np.float32]:
    """Windows to measure int8 ranges on, drawn from a few of each training person: not all of them are computed."""
    subjects = np.unique(store.subject[fold.train])
    few = capped(store, subjects, -(-2 * N_CALIBRATION_WINDOWS // len(subjects)))
    return calibration_windows(labelled(store, few, spec), seed=seed)


def _cross_validated(summary: Summary | None) -> list[Comparison]:
    if summary is None:
        return []
    return [
        Comparison(row.method, row.balanced_accuracy, f"{row.n_people} people, {len(row.seeds)} seeds")
        for row in summary.rows
        if row.protocol == "person"
    ]


def _register_comparison(dataset: Dataset, split: PersonSplit) -> list[Comparison]:
    """Logistic regression on the gait figures of a register, where it has them for everybody concerned."""
    gaits = {item.id: item.person.gait for item in dataset.subjects if item.person is not None and item.person.gait}
    label_of = dataset.label_of
    learned = [person for person in (*split.train, *split.validation) if person in gaits]
    if not learned or any(person not in gaits for person in split.test):
        return []
    probabilities = logistic_regression(
        [gaits[person] for person in learned],
        [dataset.labels.index(label_of[person]) for person in learned],
        [gaits[person] for person in split.test],
    )
    figures = evaluate(
        probabilities.astype(np.float32),
        np.array([dataset.labels.index(label_of[person]) for person in split.test]),
        np.array(split.test),
    )
    note = (
        f"on the {len(split.test)} test people's own gait figures (means and deviations), trained on the other people's"
    )
    return [Comparison("logistic regression", figures.balanced_accuracy_by_person, note)]


def draft_manifest(config: TrainConfig, trained: Trained, split: PersonSplit, dataset: Dataset) -> Manifest:
    """What is known of a bundle before its variants are made: no figure, no threshold."""
    spec = trained.spec
    screen = screen_of(config.signal, dataset.gravity)
    labels = list(dataset.label_of.values())
    cap = f"; at most {config.windows_per_person} windows a person" if config.windows_per_person else ""
    return Manifest(
        schema_version=SCHEMA_VERSION,
        name=config.name,
        created=datetime.datetime.now(datetime.UTC).replace(microsecond=0).isoformat(),
        labels=dataset.labels,
        sample_rate_hz=spec.rate_hz,
        window_samples=spec.window_samples,
        hop_samples=spec.hop_samples,
        channels=CHANNELS,
        units=CHANNEL_UNITS,
        frame=FRAME,
        gravity=dataset.gravity,
        max_bridged_gap_ms=spec.max_bridged_gap_ms,
        max_bridged_share=spec.max_bridged_share,
        outlier_limits=OutlierLimits(
            lower=tuple(spec.outlier_lower.tolist()), upper=tuple(spec.outlier_upper.tolist())
        ),
        scaler=Scaler(mean=tuple(spec.mean.tolist()), deviation=tuple(spec.deviation.tolist())),
        wavelet=Wavelet(name=WAVELET, level=spec.wavelet_level, n_coefficients=spec.n_coefficients),
        temperature=trained.temperature,
        decision=Decision(
            half_life_windows=config.decision.half_life_windows,
            min_windows=config.decision.min_windows,
            switch_margin=config.decision.switch_margin,
            least_confidence=0.0,
        ),
        variants={},
        default_variant="int8",
        training=Training(
            trained_on=dataset.trained_on,
            dataset=f"{len(labels)} people of {dataset.folder.resolve().name} ({dataset.kind}, {dataset.target})",
            split=f"by person, stratified: {len(split.train)} train, {len(split.validation)} validate, "
            f"{len(split.test)} test{cap}",
            seed=config.bundle.seed,
            code_version=code_version(),
            n_people={label: labels.count(label) for label in dataset.labels},
            figures={},
            windows=config.signal.windows,
            mounting="correct" if screen is not None and screen.finds_mounting else "trust",
        ),
        intended_use=SYNTHETIC_USE if dataset.is_synthetic else _USES.get(dataset.target, _OTHER_USE),
    )
