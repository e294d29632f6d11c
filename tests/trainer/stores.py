"""Stores of windows cut from random walks in time, for tests that need people and stretches but no recordings."""

import numpy as np

from edge.sources.recording import Gravity
from edge.stream.preprocess import SignalSpec
from trainer.store import WindowStore

WINDOW = 32


def store_of(
    n_windows_of_person: tuple[int, ...],
    labels_of_person: tuple[int, ...],
    *,
    n_pieces: int = 1,
    gravity: Gravity = "included",
    seed: int = 0,
) -> WindowStore:
    """People with so many overlapping windows of 32 samples each, half a window apart, in ``n_pieces`` stretches."""
    rng = np.random.default_rng(seed)
    start, walk, pieces = [], [], []
    n_samples = 0
    for person, n_windows in enumerate(n_windows_of_person):
        for part in np.array_split(np.arange(n_windows), n_pieces):
            first = n_samples
            start += (first + np.arange(len(part)) * WINDOW // 2).tolist()
            n_samples += (len(part) + 1) * WINDOW // 2
            walk += [person] * len(part)
            pieces.append((first, n_samples, person))
    places = np.array(pieces, np.int64)
    people = np.repeat(places[:, 2], places[:, 1] - places[:, 0])
    samples = rng.normal(size=(n_samples, 6)) + people[:, np.newaxis]
    n_people = len(n_windows_of_person)
    return WindowStore(
        labels=tuple("abc"[: max(labels_of_person) + 1]),
        subject_ids=tuple(f"p{person:02d}" for person in range(n_people)),
        walk_names=tuple(f"w{person}" for person in range(n_people)),
        walk_devices=("d",) * n_people,
        subject_traits=({},) * n_people,
        gravity=gravity,
        rate_hz=100.0,
        window_samples=WINDOW,
        samples=samples.astype(np.float32),
        start=np.array(start, np.int64),
        walk=np.array(walk, np.int64),
        piece_start=places[:, 0],
        piece_stop=places[:, 1],
        piece_walk=places[:, 2],
        walk_subject=np.arange(n_people),
        label_index=np.array(labels_of_person, np.int64),
    )


def spec_of(store: WindowStore) -> SignalSpec:
    """A signal path for it: no outliers, mean 0.5, deviation 2, level 3."""
    full = np.ones(6, np.float32)
    return SignalSpec(store.rate_hz, WINDOW, WINDOW // 2, 40.0, 0.1, -1e6 * full, 1e6 * full, 0.5 * full, 2 * full, 3)
