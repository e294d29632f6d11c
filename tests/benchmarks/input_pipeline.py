"""Windows a second from samples to the network: our batches beside McFly's way of handing over data, in one run.

Synthetic walks, 200 samples a window. McFly (`find_architecture.train_models_on_samples`) knows nothing of signals: it
takes arrays that are in memory whole and gives them to Keras' ``fit``. What comes before is the user's own script, in
the paper: windows cut one by one, the wavelet channel by channel, a list turned into one array, a scaler. Both ways are
written out here and begin with the same samples.

Two ratios. Of preparation: ours is repeated in each epoch, theirs done once, so it has to be cheap beside the network.
Of training: `fit` on batches made meanwhile, beside Keras' own ``fit`` on arrays that are ready; near 1 means that the
network never waits.
"""

import statistics
import sys
import time
from typing import Any, Final

import numpy as np
import pywt
from numpy.typing import NDArray
from sklearn.preprocessing import StandardScaler

from edge.sources.walkers import read_walker, walker_path
from edge.stream.preprocess import WAVELET, SignalSpec
from firmware_bridge.walker import walk
from trainer.batches import EpochSource, LabelledWindows, labelled, windows_source
from trainer.network import HAAR_LEVEL, build_network
from trainer.store import WindowStore
from trainer.tf import keras
from trainer.train_config import AugmentConfig, FitConfig, ImbalanceConfig, NetworkConfig
from trainer.training import Progress, fit

N_PEOPLE, WALK_S, RATE_HZ, WINDOW, HOP, BATCH = 12, 170.0, 104.0, 200, 50, 64
ROUNDS: Final = 3
BAR: Final = 0.9
EVERYTHING = AugmentConfig(
    rotation_deg=5, gain=0.03, acc_bias_m_s2=0.1, gyr_bias_rad_s=0.01, time_stretch=0.05, acc_noise_m_s2=0.1,
    gyr_noise_rad_s=0.02, mirror=0.5,
)  # fmt: skip
AS_MEASURED: Final = "as measured"
WAYS: Final = {AS_MEASURED: AugmentConfig(), "with all augmentation": EVERYTHING}
# A fast network is the hard case: the paper's takes five times as long for a window.
NETWORK: Final = NetworkConfig(filters=(16,), lstm_units=(64,), haar_blocks=True)
N_TRAINED: Final = 2048


def main() -> bool:
    """Print the ratios; whether training on our batches meets the bar."""
    store = walks()
    everything = np.arange(len(store))
    spec = SignalSpec(
        RATE_HZ, WINDOW, HOP, 40.0, 0.1, np.full(6, -1e4, np.float32), np.full(6, 1e4, np.float32),
        store.samples.mean(axis=0), store.samples.std(axis=0), HAAR_LEVEL,
    )  # fmt: skip
    prepare(store, spec)
    return train(store, everything, spec)


def walks() -> WindowStore:
    """A store of synthetic walks, a walker's seed each for a person."""
    walker = read_walker(walker_path("robust"))
    samples = np.stack([walk(walker, duration_s=WALK_S, rate_hz=RATE_HZ, seed=seed) for seed in range(N_PEOPLE)])
    n_samples = samples.shape[1]
    starts = np.arange(0, n_samples - WINDOW + 1, HOP)
    people = np.arange(N_PEOPLE)
    return WindowStore(
        labels=("a", "b", "c"),
        subject_ids=tuple(f"p{person:02d}" for person in people),
        walk_names=tuple(f"w{person:02d}" for person in people),
        walk_devices=("virtual",) * N_PEOPLE,
        subject_traits=({},) * N_PEOPLE,
        gravity="included",
        rate_hz=RATE_HZ,
        window_samples=WINDOW,
        samples=samples.reshape(-1, 6),
        start=(people[:, np.newaxis] * n_samples + starts).ravel(),
        walk=np.repeat(people, len(starts)),
        piece_start=people * n_samples,
        piece_stop=(people + 1) * n_samples,
        piece_walk=people,
        walk_subject=people,
        label_index=people % 3,
    )


def prepare(store: WindowStore, spec: SignalSpec) -> None:
    """Print how many windows a second each way prepares."""
    everything = np.arange(len(store))
    sources = [source(store, everything, spec, config) for config in WAYS.values()]
    theirs_s: list[float] = []
    ours_s: list[list[float]] = [[], []]
    for _ in range(ROUNDS):
        begin_s = time.perf_counter()
        by_script(store)
        theirs_s.append(time.perf_counter() - begin_s)
        for made, times in zip(sources, ours_s, strict=True):
            begin_s = time.perf_counter()
            n_windows = sum(len(b.label_index) for b in made.batches(seed=1, epoch=0, batch_size=BATCH))
            times.append(time.perf_counter() - begin_s)
            if n_windows != len(store):
                raise AssertionError(f"{n_windows} windows of {len(store)}")
    slow = statistics.median(theirs_s)
    print(f"input: the paper's script for McFly prepares {len(store) / slow:,.0f} windows/s, once")
    for name, times in zip(WAYS, ours_s, strict=True):
        ratios = [their / our for their, our in zip(theirs_s, times, strict=True)]
        print(
            f"input: our batches, {name}: {statistics.median(ratios):.1f} times that "
            f"({min(ratios):.1f} to {max(ratios):.1f}), "
            f"{len(store) / statistics.median(times):,.0f} windows/s in each epoch"
        )


def by_script(store: WindowStore) -> NDArray[np.float64]:
    """The data of all windows as a script makes it for McFly: one by one, channel by channel, then scaled whole."""
    windows = []
    for first in store.start.tolist():
        window = store.samples[first : first + WINDOW]
        channels = []
        for channel in range(window.shape[1]):
            parts = pywt.wavedec(window[:, channel], WAVELET, level=HAAR_LEVEL)
            channels.append(np.concatenate(parts))
        windows.append(np.array(channels).T)
    everything = np.array(windows)
    n_windows, n_steps, n_channels = everything.shape
    scaled = StandardScaler().fit_transform(everything.reshape(-1, n_channels))
    shaped: NDArray[np.float64] = scaled.reshape(n_windows, n_steps, n_channels)
    return shaped


def train(store: WindowStore, everything: NDArray[np.int64], spec: SignalSpec) -> bool:
    """Print and judge windows a second in training, without the first batch of an epoch, in which graphs are made."""
    windows = np.sort(np.random.default_rng(0).permutation(everything)[:N_TRAINED])
    few, ready = labelled(store, windows[:BATCH], spec), labelled(store, windows, spec)
    sources = {name: source(store, windows, spec, config) for name, config in WAYS.items()}
    in_memory: list[float] = []
    rates: dict[str, list[float]] = {name: [] for name in WAYS}
    for _ in range(ROUNDS):
        in_memory.append(by_keras(ready, few))
        for name, made in sources.items():
            rates[name].append(by_fit(made, few, spec.n_coefficients))
    print(f"training: Keras on arrays in memory takes {statistics.median(in_memory):,.0f} windows/s")
    is_met = False
    for name, found in rates.items():
        ratios = [ours / theirs for ours, theirs in zip(found, in_memory, strict=True)]
        ratio = statistics.median(ratios)
        verdict = ""
        if name == AS_MEASURED:
            is_met = ratio >= BAR
            verdict = f"; bar {BAR}: {'met' if is_met else 'MISSED'}"
        print(
            f"training: our batches, {name}: {ratio:.2f} of that ({min(ratios):.2f} to {max(ratios):.2f}{verdict}), "
            f"{statistics.median(found):,.0f} windows/s"
        )
    return is_met


def by_keras(ready: LabelledWindows, few: LabelledWindows) -> float:
    """Windows a second as McFly trains: Keras' ``fit`` on arrays."""
    network = build(ready.coefficients.shape[1])
    one_hot = np.eye(3, dtype=np.float32)
    stamps: list[float] = []

    def tell(batch: int, logs: dict[str, float]) -> None:
        stamps.append(time.perf_counter())

    network.fit(
        ready.coefficients,
        one_hot[ready.label_index],
        validation_data=(few.coefficients, one_hot[few.label_index]),
        batch_size=BATCH,
        epochs=2,
        verbose=0,
        callbacks=[keras.callbacks.LambdaCallback(on_batch_end=tell)],
    )
    return rate(stamps)


def by_fit(made: EpochSource, few: LabelledWindows, n_coefficients: int) -> float:
    """Windows a second of our training on batches that are made meanwhile."""
    stamps: list[float] = []

    def tell(_: Progress) -> None:
        stamps.append(time.perf_counter())

    settings = FitConfig(n_epochs=2, patience_epochs=2, batch_size=BATCH)
    network = build(n_coefficients)
    fit(network, made, few, settings, seed=1, people_apart=False, on_progress=tell)
    return rate(stamps)


def rate(stamps: list[float]) -> float:
    """Of the second epoch, between the ends of its first and its last batch."""
    second = stamps[len(stamps) // 2 :]
    return BATCH * (len(second) - 1) / (second[-1] - second[0])


def build(n_coefficients: int) -> Any:
    """A network for these windows."""
    return build_network(NETWORK, n_coefficients=n_coefficients, n_channels=6, n_labels=3, seed=1)


def source(store: WindowStore, windows: NDArray[np.int64], spec: SignalSpec, config: AugmentConfig) -> EpochSource:
    """Batches of these windows, nothing done about imbalance."""
    return windows_source(store, windows, spec, imbalance=ImbalanceConfig(), augmentation=config, seed=1)


if __name__ == "__main__":
    sys.exit(not main())
