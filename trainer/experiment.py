"""A run from a dataset to figures and a bundle: read top to bottom.

People with walks go in. Every method is tried on every fold of every protocol, each trial kept as it is done, so that
a killed run goes on; then the bundle is trained on its own split by person and exported, and all of it told in one
report. Everything that is learned sees training or validation people only, and every protocol is checked for leaks.
"""

import dataclasses
import hashlib
import json
import shutil
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import msgspec
import numpy as np

from edge.bundle import Bundle
from edge.errors import ConfigError, TrainingError
from trainer.baselines import BASELINES
from trainer.bundling import make_bundle, plan_bundle
from trainer.datasets.dataset import Dataset
from trainer.history import Progress
from trainer.pool import Function, run_all
from trainer.protocols import Fold, Leak, describe, find_leak, make_folds
from trainer.run_folder import RunFolder
from trainer.running import run_trial, wavelet_level
from trainer.store import WindowStore, build_store
from trainer.summary import Summary, summarise
from trainer.train_config import TrainConfig, Variant
from trainer.trial import BASELINE, NETWORK, Trial, TrialResult
from trainer.versions import facts

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
    """What a run leaves, besides its folder. ``failures`` are trials without an answer, and why."""

    folder: RunFolder
    store: WindowStore
    folds: tuple[Fold, ...]
    leaks: Mapping[str, Leak]
    results: tuple[TrialResult, ...]
    failures: tuple[str, ...]
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
    refused = ", ".join(f"{n} {reason}" for reason, n in store.refused.items())
    hooks.say(
        f"{len(store)} windows of {len(store.subject_ids)} people"
        + (f"; refused, as the edge would: {refused}" if refused else "")
    )
    bundle = plan_bundle(dataset, config, store, held_out) if with_bundle and not only_baselines else None
    folder = RunFolder(out, identity(dataset, config, store, held_out, only_baselines), facts())
    folds = make_folds(store, config.protocol, config.windows_per_person, hooks.say) if with_protocols else []
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
        # A node of a cluster keeps no epochs: nobody would clear them away there before the next run.
        checkpoints = None if where.cluster else (folder.path / "checkpoints").absolute()
        run_trials(folder, store, pending, partial(run_trial, checkpoints=checkpoints), where, hooks)
    results = folder.load_all(trial.key for trial in trials)
    for result in results:
        if result.failed:
            hooks.say(f"{result.key}: no answers: {result.failed}")
    answered = tuple(result for result in results if not result.failed)
    failures = tuple(f"{result.key}: {result.failed}" for result in results if result.failed)
    summary = summarise(answered, store.labels) if answered else None
    done = Run(folder, store, tuple(folds), leaks, answered, failures, summary, None)
    if bundle is None:
        return done
    if answered:
        hooks.figures(done)
    return dataclasses.replace(done, bundle=make_bundle(bundle, dataset, config, store, folder, summary, hooks))


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
    for array in (store.samples, store.start, store.walk, store.walk_subject, store.label_index, store.piece_start):
        digest.update(np.ascontiguousarray(array).tobytes())
    about = (store.subject_ids, store.walk_names, store.walk_devices, store.subject_traits, store.gravity)
    digest.update(json.dumps(about).encode())
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


def _remove(folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)
