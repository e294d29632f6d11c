"""A run from a dataset to figures and a bundle: read top to bottom.

People with walks go in. Every method is tried on every fold of every protocol, each trial kept as it is done, so that
a killed run goes on; then the bundle is trained on its own split by person and exported, and all of it told in one
report. Everything that is learned sees training or validation people only, and every protocol is checked for leaks.
"""

import dataclasses
import datetime
import hashlib
import platform
import shutil
import subprocess
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Final

import msgspec
import numpy as np

from edge import __version__
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
from edge.errors import ConfigError, TrainingError
from edge.manifest import FRAME, SCHEMA_VERSION
from edge.stream.preprocess import WAVELET
from firmware_bridge.channels import CHANNEL_UNITS, CHANNELS
from trainer.agreement import require_enough_windows
from trainer.baseline import logistic_regression
from trainer.baselines import BASELINES
from trainer.batches import labelled
from trainer.calibration import Abstention, abstention_threshold, apply_temperature, rolling_rows
from trainer.card import Comparison, Provenance
from trainer.convert import SHIPPED_VARIANTS
from trainer.datasets.dataset import Dataset
from trainer.evaluate import evaluate
from trainer.export import calibration_windows, export_bundle
from trainer.history import Progress
from trainer.pool import Function, run_all
from trainer.protocols import Fold, Leak, describe, find_leak, make_folds, require_no_leak
from trainer.run_folder import RunFolder
from trainer.running import Trained, answer, result_of, run_trial, train, wavelet_level
from trainer.splits import PersonSplit, split_by_person
from trainer.store import WindowStore, build_store, capped
from trainer.summary import Summary, summarise
from trainer.train_config import TrainConfig, Variant
from trainer.trial import BASELINE, NETWORK, Trial, TrialResult

BUNDLE: Final = "bundle"
SYNTHETIC_USE = "demonstration of the software, not valid for people; no medical device"
_USES = {
    "frailty": "research on gait and frailty; no medical device, not for diagnosis",
    "gait-speed": "research on gait speed, says nothing of frailty; no medical device, not for diagnosis",
}
_OTHER_USE = "research on gait; no medical device, not for diagnosis"

Say = Callable[[str], object]


@dataclass(frozen=True, slots=True)
class Hooks:
    """Whom a run tells what: a line for the user, trials by key as they start, go on, are done or tried again."""

    say: Say = lambda _: None
    start: Callable[[Trial], object] = lambda _: None
    progress: Callable[[Trial, Progress], object] = lambda *_: None
    done: Callable[[Trial, TrialResult], object] = lambda *_: None
    retry: Callable[[Trial, str], object] = lambda *_: None
    total: Callable[[int, int], object] = lambda *_: None
    """How many trials there are, and how many of them were done before."""
    figures: Callable[["Run"], object] = lambda _: None
    """All trials are done, and the bundle is yet to be made: what may fail there costs no figure."""


@dataclass(frozen=True, slots=True)
class Where:
    """On what a run is done: worker processes of this machine, or a Ray cluster by its address."""

    workers: int = 1
    cluster: str | None = None


@dataclass(frozen=True, slots=True)
class Run:
    """What a run leaves, besides its folder."""

    folder: RunFolder
    store: WindowStore
    folds: tuple[Fold, ...]
    leaks: Mapping[str, Leak]
    results: tuple[TrialResult, ...]
    summary: Summary | None
    bundle: Bundle | None


def run(
    dataset: Dataset,
    config: TrainConfig,
    out: Path,
    *,
    held_out: Collection[str] = (),
    where: Where = Where(),
    hooks: Hooks = Hooks(),
    only_baselines: bool = False,
    with_protocols: bool = True,
    with_bundle: bool = True,
) -> Run:
    """Run a configuration on a dataset into the folder ``out``; the bundle is never trained on ``held_out`` people.

    A folder that holds part of the same run is gone on with. `TrainingError` where it holds another one.
    """
    require_known(config)
    store = build_store(dataset, config.signal)
    hooks.say(f"{len(store)} windows of {len(store.subject_ids)} people")
    folder = RunFolder(out, identity(dataset, config, store, held_out, only_baselines), facts())
    folds = make_folds(store, config.protocol, config.windows_per_person) if with_protocols else []
    leaks = {fold.name: find_leak(store, fold) for fold in folds}
    if folds:
        hooks.say(describe(store, folds))
    for fold in folds:
        if fold.protocol == "window":
            hooks.say(f"{fold.name}: in-sample by person: {leaks[fold.name]}")
    trials = list_trials(config, folds, only_baselines=only_baselines)
    pending = [trial for trial in trials if not folder.has(trial.key)]
    hooks.total(len(trials), len(trials) - len(pending))
    if pending:
        function = partial(run_trial, checkpoints=(folder.path / "checkpoints").absolute())
        run_trials(folder, store, pending, function, where, hooks)
    results = folder.load_all(trial.key for trial in trials)
    summary = summarise(results, store.labels) if results else None
    done = Run(folder, store, tuple(folds), leaks, tuple(results), summary, None)
    if not with_bundle or only_baselines:
        return done
    if results:
        hooks.figures(done)
    return dataclasses.replace(done, bundle=_make_bundle(dataset, config, store, folder, held_out, summary, hooks))


def list_trials(config: TrainConfig, folds: Collection[Fold], *, only_baselines: bool = False) -> list[Trial]:
    """Every method on every fold: the network, its variants, the baselines."""
    networks = {} if only_baselines else {NETWORK: config}
    if not only_baselines:
        networks |= {variant.name: with_variant(config, variant) for variant in config.variants}
    methods = networks | {BASELINE + name: config for name in config.baselines}
    return [Trial(method, fold, own) for fold in folds for method, own in methods.items()]


def with_variant(config: TrainConfig, variant: Variant) -> TrainConfig:
    """The configuration with the sections that a variant names in place of its own."""
    named = {name: getattr(variant, name) for name in ("network", "fit", "imbalance", "augment")}
    return msgspec.structs.replace(config, **{name: section for name, section in named.items() if section is not None})


def require_known(config: TrainConfig) -> None:
    """`ConfigError` for a baseline that there is none of, a variant with a taken name, or a level that can't be."""
    for name in config.baselines:
        if name not in BASELINES:
            raise ConfigError(f'baselines: there is no "{name}"; known are {", ".join(BASELINES)}')
    for variant in config.variants:
        if variant.name == NETWORK or variant.name.startswith(BASELINE):
            raise ConfigError(f'variants: the name "{variant.name}" is taken')
        wavelet_level(with_variant(config, variant))
    wavelet_level(config)


def identity(
    dataset: Dataset, config: TrainConfig, store: WindowStore, held_out: Collection[str], only_baselines: bool
) -> dict[str, object]:
    """What makes a run this run and no other: configuration, data, who is held out, what is computed."""
    digest = hashlib.sha256()
    for array in (store.samples, store.start, store.walk, store.walk_subject, store.label_index):
        digest.update(np.ascontiguousarray(array).tobytes())
    return {
        "dataset": dataset.kind,
        "target": dataset.target,
        "labels": list(store.labels),
        "people": len(store.subject_ids),
        "windows": len(store),
        "windows_sha256": digest.hexdigest(),
        "held_out": sorted(held_out),
        "only_baselines": only_baselines,
        "config": msgspec.to_builtins(config),
    }


def facts() -> dict[str, object]:
    """Versions of all that figures may depend on; they may differ from one start of a run to the next."""
    packages = ("numpy", "PyWavelets", "tensorflow", "tf-keras", "scikit-learn", "imbalanced-learn", "aeon")
    return {
        "frailedge": code_version(),
        "python": platform.python_version(),
        "machine": platform.machine(),
        "packages": {name: version(name) for name in packages},
    }


def run_trials(
    folder: RunFolder,
    store: WindowStore,
    pending: list[Trial],
    function: Function[Trial, Progress, TrialResult],
    where: Where,
    hooks: Hooks,
) -> None:
    """Run what is not done yet; workers map the store from the run's folder, where it is kept only meanwhile."""
    place = folder.path / "store"
    _remove(place)
    try:
        store.save(place)
    except OSError as error:
        _remove(place)
        raise TrainingError(f"{place}: cannot be written: {error.strerror}; make room and run again") from error

    def done(trial: Trial, result: TrialResult) -> None:
        folder.save(result)
        hooks.done(trial, result)

    try:
        run_all(
            pending,
            function,
            place,
            on_done=done,
            on_start=hooks.start,
            on_progress=hooks.progress,
            on_retry=hooks.retry,
            workers=where.workers,
            cluster=where.cluster,
        )
    finally:
        _remove(place)


def _make_bundle(
    dataset: Dataset,
    config: TrainConfig,
    store: WindowStore,
    folder: RunFolder,
    held_out: Collection[str],
    summary: Summary | None,
    hooks: Hooks,
) -> Bundle:
    """Train on the bundle's own split by person, find the abstention threshold on validation people, export."""
    place = folder.path / "bundle"
    if folder.has(BUNDLE) and (place / MANIFEST_NAME).is_file():
        hooks.say(f"{place}: made before")
        return load_bundle(place)
    split = split_by_person(
        dataset.label_of,
        validation_share=config.bundle.validation_share,
        test_share=config.bundle.test_share,
        seed=config.bundle.seed,
        held_out=held_out,
    )
    fold = _bundle_fold(store, split, config)
    require_no_leak(store, fold)
    require_enough_windows(len(fold.test))
    hooks.say(
        f"bundle: split by person: {len(split.train)} train, {len(split.validation)} validate, {len(split.test)} test"
    )
    trial = Trial(NETWORK, fold, config)
    hooks.start(trial)
    started_s = time.monotonic()
    trained = train(config, store, fold, partial(hooks.progress, trial), folder.checkpoint(BUNDLE))
    hooks.say(f"bundle: best of {len(trained.history.epochs)} epochs: {trained.history.best_epoch + 1}; converting")
    abstention = _find_abstention(trained, store, split, config)
    bundle = export_bundle(
        place,
        _draft(config, trained, split, dataset, abstention),
        trained.network,
        calibration=calibration_windows(labelled(store, fold.train, trained.spec), seed=config.bundle.seed),
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


def _bundle_fold(store: WindowStore, split: PersonSplit, config: TrainConfig) -> Fold:
    place = {person: index for index, person in enumerate(store.subject_ids)}
    train_windows, validation, test = (
        capped(store, np.array([place[person] for person in side]), config.windows_per_person)
        for side in (split.train, split.validation, split.test)
    )
    return Fold("person", BUNDLE, config.bundle.seed, train_windows, validation, test)


def _find_abstention(trained: Trained, store: WindowStore, split: PersonSplit, config: TrainConfig) -> Abstention:
    """The threshold by what the edge would decide while validation people walk: all of their windows, in order."""
    place = {person: index for index, person in enumerate(store.subject_ids)}
    windows = capped(store, np.array([place[person] for person in split.validation]), 0)
    answers = answer(trained, store, windows)
    rows = rolling_rows(
        apply_temperature(answers.probabilities, trained.temperature),
        answers.label_index,
        answers.person_ids,
        store.walk[windows],
        config.decision,
    )
    return abstention_threshold(rows, config.decision.most_wrong_share)


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


def _draft(
    config: TrainConfig, trained: Trained, split: PersonSplit, dataset: Dataset, abstention: Abstention
) -> Manifest:
    spec = trained.spec
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
            least_confidence=abstention.least_confidence,
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
            figures={
                "validation_answered_share": abstention.answered_share,
                "validation_wrong_share": abstention.wrong_share,
            },
        ),
        intended_use=SYNTHETIC_USE if dataset.is_synthetic else _USES.get(dataset.target, _OTHER_USE),
    )


def code_version() -> str:
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


def _remove(folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)
