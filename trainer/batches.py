"""Training windows as batches of coefficients, made anew in each epoch and ahead of the network.

Enters: a store, the windows to train on, and what the configuration does to them. Leaves: batches, each a function of
seed, epoch and its place alone, so that a resumed epoch sees what an uninterrupted one sees. An epoch's coefficients
are never in memory at once; what SMOTE adds is.
"""

import os
from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edge.errors import TrainingError
from edge.stream.preprocess import SignalSpec
from firmware_bridge.channels import Samples
from trainer.augment import augment, margin_samples
from trainer.imbalance import class_weights, draw_shares, smote
from trainer.store import WindowStore, coefficients_of
from trainer.train_config import AugmentConfig, ImbalanceConfig

# Bounded, so that memory is; deep enough to bridge the pause of a network that validates.
BATCHES_AHEAD: Final = 8
# numpy and pywt work without the interpreter's lock; more threads than this bring the network nothing.
N_THREADS: Final = min(4, os.cpu_count() or 1)

Gather = Callable[[NDArray[np.int64], np.random.Generator], NDArray[np.float32]]
"""Rows of a source, and what chance may decide about them, to coefficients ``(n_rows, n_coefficients, 6)``."""


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
class Batch:
    """``coefficients`` ``(n, n_coefficients, 6)`` float32, ``label_index`` ``(n,)`` and ``weight`` ``(n,)`` float32."""

    coefficients: NDArray[np.float32]
    label_index: NDArray[np.int64]
    weight: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class EpochSource:
    """What one epoch is made of: rows, some of them perhaps synthetic, and how many times each is drawn.

    ``label_index`` has shape ``(n_rows,)``; ``person_ids`` holds each person once; ``class_weights`` ``(n_labels,)``
    weighs a row in the loss. With ``shares`` ``(n_rows,)`` an epoch draws as many rows as it has by these
    probabilities, without it takes each row once. With ``rows_per_person`` above 0 an epoch has so many rows of each
    person at most, ``person_index`` ``(n_rows,)``, and takes others in each epoch.
    """

    label_index: NDArray[np.int64]
    person_ids: frozenset[str]
    class_weights: NDArray[np.float32]
    shares: NDArray[np.float64] | None
    gather: Gather
    person_index: NDArray[np.int64]
    rows_per_person: int = 0

    def __len__(self) -> int:
        """Rows in an epoch."""
        counts = np.bincount(self.person_index)
        return int(np.minimum(counts, self.rows_per_person or len(self.label_index)).sum())

    def batches(self, *, seed: int, epoch: int, batch_size: int) -> Generator[Batch, None, None]:
        """The batches of one epoch in order, made by threads of their own while the caller works on the last one.

        Closed early, it leaves no thread behind.
        """
        rng = np.random.default_rng([seed, epoch])
        n_rows = len(self)
        order = self._once(rng) if self.shares is None else rng.choice(len(self.label_index), n_rows, p=self.shares)
        ahead: deque[Future[Batch]] = deque()
        pool = ThreadPoolExecutor(N_THREADS, thread_name_prefix="batches")
        try:
            for place, first in enumerate(range(0, n_rows, batch_size)):
                rows = order[first : first + batch_size]
                ahead.append(pool.submit(self._batch, rows, np.random.default_rng([seed, epoch, place])))
                if len(ahead) > BATCHES_AHEAD:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)

    def _once(self, rng: np.random.Generator) -> NDArray[np.int64]:
        """Each row once in random order, or of each person as many as there may be."""
        order = rng.permutation(len(self.label_index))
        if not self.rows_per_person:
            return order
        # A person's rows stand together, still in random order: a row's place among them is its distance to the first.
        by_person = order[np.argsort(self.person_index[order], kind="stable")]
        owners = self.person_index[by_person]
        place = np.arange(len(owners)) - np.searchsorted(owners, owners)
        kept: NDArray[np.int64] = rng.permutation(by_person[place < self.rows_per_person])
        return kept

    def _batch(self, rows: NDArray[np.int64], rng: np.random.Generator) -> Batch:
        label_index = self.label_index[rows]
        return Batch(self.gather(rows, rng), label_index, self.class_weights[label_index])


def windows_source(
    store: WindowStore,
    windows: NDArray[np.int64],
    spec: SignalSpec,
    *,
    imbalance: ImbalanceConfig,
    augmentation: AugmentConfig,
    seed: int,
    windows_per_person: int = 0,
) -> EpochSource:
    """These windows of a store, augmented anew in each epoch; ``seed`` is that of SMOTE.

    With ``windows_per_person`` above 0 each epoch takes so many of a person at most, others each time.

    SMOTE works on the windows as measured: its synthetic rows are made once, and never augmented. `TrainingError`
    where a class has no window, or too few for SMOTE.
    """
    n_real, margin = len(windows), margin_samples(augmentation, store.window_samples)
    label_index, person_ids = store.labels_of(windows), store.person_ids(windows)
    synthetic: NDArray[np.float32] | None = None
    if imbalance.smote:
        real = np.concatenate([coefficients_of(store.raw(part), spec) for part in _parts(windows)])
        synthetic, synthetic_label_index = smote(real, label_index, seed=seed)
        label_index = np.concatenate([label_index, synthetic_label_index])

    def gather(rows: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.float32]:
        is_real = rows < n_real
        raw = _surrounded(store, windows[rows[is_real]], margin)
        if augmentation.is_on:
            raw = augment(
                raw,
                augmentation,
                rng,
                window_samples=store.window_samples,
                rate_hz=store.rate_hz,
                gravity=store.gravity,
            )
        measured = coefficients_of(raw, spec)
        if synthetic is None:
            return measured
        coefficients = np.empty((len(rows), *synthetic.shape[1:]), np.float32)
        coefficients[is_real] = measured
        coefficients[~is_real] = synthetic[rows[~is_real] - n_real]
        return coefficients

    return epoch_source(label_index, person_ids, len(store.labels), imbalance, gather, windows_per_person)


def labelled(store: WindowStore, windows: NDArray[np.int64], spec: SignalSpec) -> LabelledWindows:
    """Windows of a store in memory, as they are measured: for validation and tests."""
    coefficients = np.empty((len(windows), spec.n_coefficients, 6), np.float32)
    done = 0
    for part in _parts(windows):
        coefficients[done : done + len(part)] = coefficients_of(store.raw(part), spec)
        done += len(part)
    return LabelledWindows(coefficients, store.labels_of(windows), store.person_ids(windows))


def epoch_source(
    label_index: NDArray[np.int64],
    person_ids: NDArray[np.str_],
    n_labels: int,
    imbalance: ImbalanceConfig,
    gather: Gather,
    rows_per_person: int = 0,
) -> EpochSource:
    """Rows with their labels, of which the first are people's, and how ``gather`` makes coefficients of them."""
    # What SMOTE adds is nobody's: it counts as one more person, without a cap of its own.
    people, person_index = np.unique(person_ids, return_inverse=True)
    n_synthetic = len(label_index) - len(person_ids)
    if n_synthetic and rows_per_person:
        raise TrainingError("imbalance.smote and fit.fresh_windows exclude each other: SMOTE works on fixed windows")
    shares = draw_shares(label_index, person_ids) if imbalance.sampling == "balanced" else None
    in_an_epoch = label_index
    if rows_per_person and shares is None:  # the shares say of every row how often it is drawn, capped or not
        _, first, counts = np.unique(person_index, return_index=True, return_counts=True)
        in_an_epoch = np.repeat(label_index[first], np.minimum(counts, rows_per_person))
    return EpochSource(
        label_index,
        frozenset(person_ids.tolist()),
        class_weights(in_an_epoch, n_labels, imbalance.class_weights, shares),
        shares,
        gather,
        np.concatenate([person_index, np.full(n_synthetic, len(people), np.int64)]),
        rows_per_person,
    )


def _surrounded(store: WindowStore, windows: NDArray[np.int64], margin: int) -> Samples:
    """Windows with so many samples more on each side ``(n, window_samples + 2 margin, 6)``, all of the same stretch.

    Near the end of a stretch the window is moved inwards for it; one that is too short holds its outermost sample.
    """
    if margin == 0:
        return store.raw(windows)
    piece = np.searchsorted(store.piece_start, store.start[windows], side="right") - 1
    first, stop = store.piece_start[piece], store.piece_stop[piece]
    n_wide = store.window_samples + 2 * margin
    begin = np.clip(store.start[windows] - margin, first, np.maximum(first, stop - n_wide))
    places = np.minimum(begin[:, np.newaxis] + np.arange(n_wide), stop[:, np.newaxis] - 1)
    surrounded: Samples = store.samples[places]
    return surrounded


def _parts(windows: NDArray[np.int64], n_windows: int = 4096) -> Iterator[NDArray[np.int64]]:
    for first in range(0, len(windows), n_windows):
        yield windows[first : first + n_windows]
