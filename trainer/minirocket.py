"""MiniRocket (Dempster et al. 2021) with a ridge on top: windows of a store in, probabilities of each out.

The kernels are aeon's and know nothing of labels; limits, scales and the ridge see training windows alone, validation
windows choose the ridge's strength and how sharp its scores are. Windows are transformed in batches and only the Gram
matrix of their features is kept, so that memory does not grow with their number.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from aeon.transformations.collection.convolution_based import MiniRocket
from numpy.typing import NDArray

from trainer.store import WindowStore

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Indices = NDArray[np.int64]

# aeon rounds down to a multiple of 84: 1,932 features.
N_KERNELS: Final = 2_000
_N_FITTED: Final = 1_000
_BATCH_WINDOWS: Final = 2_048
# A feature is a share of 200 samples: what varies less than a hundredth of one sample says nothing.
_LEAST_VARIANCE: Final = (0.01 / 200) ** 2
_STRENGTHS: Final = np.geomspace(1e-4, 1.0, 9)
_SHARPNESSES: Final = np.geomspace(0.5, 50.0, 60)


@dataclass(frozen=True, slots=True)
class MiniRocketRidge:
    """What was learned; ``mean`` and ``deviation`` of channels ``(6,)``, ``slopes`` ``(n_features, n_labels)``."""

    kernels: MiniRocket
    mean: Floats
    deviation: Floats
    slopes: Floats
    offsets: Floats

    def probabilities(self, store: WindowStore, windows: Indices) -> Floats:
        """``(len(windows), n_labels)``, each row with the sum 1."""
        return _softmax(_scores(self, store, windows))


@dataclass(frozen=True, slots=True)
class _Moments:
    """Of weighted training windows: what a ridge of any strength needs.

    ``gram`` ``(n_features, n_features)`` and ``cross`` ``(n_features, n_labels)`` are of features with mean 0 and
    deviation 1, ``mean`` and ``deviation`` ``(n_features,)`` are what was taken from them; ``shares`` ``(n_labels,)``.
    """

    gram: Doubles
    cross: Doubles
    mean: Doubles
    deviation: Doubles
    shares: Doubles


def fit_minirocket(
    store: WindowStore,
    train: Indices,
    weights: Doubles,
    validation: Indices,
    validation_weights: Doubles,
    *,
    seed: int,
    n_kernels: int,
) -> MiniRocketRidge:
    """Learn from training windows, ``weights`` ``(len(train),)``; validation windows choose strength and sharpness."""
    few = np.random.default_rng(seed).permutation(train)[:_N_FITTED]
    own = store.raw(few).reshape(-1, store.samples.shape[1])
    mean, deviation = own.mean(axis=0), np.maximum(own.std(axis=0), np.finfo(np.float32).tiny)
    kernels = MiniRocket(n_kernels=n_kernels, random_state=seed)
    kernels.fit(_scaled(store, few, mean, deviation))
    blank = MiniRocketRidge(kernels, mean, deviation, np.empty((0, 0), np.float32), np.empty(0, np.float32))
    moments = _moments(blank, store, train, weights)
    held = np.concatenate(list(_features(blank, store, validation)))
    truth = store.labels_of(validation)
    best_loss, best = np.inf, blank
    for strength in _STRENGTHS:
        stiff = moments.gram + strength * np.eye(len(moments.gram))
        slopes = np.linalg.solve(stiff, moments.cross) / moments.deviation[:, np.newaxis]
        offsets = moments.shares - moments.mean @ slopes
        scores = (held @ slopes + offsets).astype(np.float32)
        for sharpness in _SHARPNESSES:
            sure = np.take_along_axis(_softmax(sharpness * scores), truth[:, np.newaxis], axis=1)[:, 0]
            loss = -np.average(np.log(np.maximum(sure, np.finfo(np.float32).tiny)), weights=validation_weights)
            if loss < best_loss:
                sharp = (sharpness * slopes).astype(np.float32), (sharpness * offsets).astype(np.float32)
                best_loss, best = loss, MiniRocketRidge(kernels, mean, deviation, *sharp)
    return best


def _moments(model: MiniRocketRidge, store: WindowStore, train: Indices, weights: Doubles) -> _Moments:
    n_labels = len(store.labels)
    targets = np.eye(n_labels, dtype=np.float32)[store.labels_of(train)]
    weight = (weights / weights.sum()).astype(np.float32)
    begin, origin = 0, np.float32(0)
    # Summed in double, each batch multiplied in single precision, which is twice as fast.
    first: Doubles = np.zeros(())
    second: Doubles = np.zeros(())
    cross: Doubles = np.zeros(())
    for features in _features(model, store, train):
        if begin == 0:
            origin = features.mean(axis=0)  # near the mean, so that the sums lose no digits
        own = slice(begin, begin + len(features))
        moved = features - origin
        weighted = moved * weight[own, np.newaxis]
        first = first + weighted.sum(axis=0)
        second = second + weighted.T @ moved
        cross = cross + weighted.T @ targets[own]
        begin += len(features)
    shares: Doubles = (targets.T @ weight).astype(np.float64)
    covariance = second - np.outer(first, first)
    deviation: Doubles = np.sqrt(np.maximum(np.diagonal(covariance), _LEAST_VARIANCE))
    return _Moments(
        gram=covariance / np.outer(deviation, deviation),
        cross=(cross - np.outer(first, shares)) / deviation[:, np.newaxis],
        mean=origin + first,
        deviation=deviation,
        shares=shares,
    )


def _features(model: MiniRocketRidge, store: WindowStore, windows: Indices) -> Iterator[Floats]:
    for begin in range(0, len(windows), _BATCH_WINDOWS):
        scaled = _scaled(store, windows[begin : begin + _BATCH_WINDOWS], model.mean, model.deviation)
        features: Floats = model.kernels.transform(scaled)
        yield features


def _scores(model: MiniRocketRidge, store: WindowStore, windows: Indices) -> Floats:
    return np.concatenate([features @ model.slopes + model.offsets for features in _features(model, store, windows)])


def _scaled(store: WindowStore, windows: Indices, mean: Floats, deviation: Floats) -> Floats:
    """Windows as aeon wants them, ``(n, 6, window_samples)``."""
    return np.ascontiguousarray(np.moveaxis((store.raw(windows) - mean) / deviation, 1, 2), np.float32)


def _softmax(scores: Floats) -> Floats:
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    probabilities: Floats = powers / powers.sum(axis=1, keepdims=True)
    return probabilities
