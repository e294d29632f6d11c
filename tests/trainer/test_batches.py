"""Batches hold what the edge would compute, are the same in every run, and wait for nobody."""

import subprocess
import sys
import threading
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from edge.errors import ConfigError, TrainingError
from tests.trainer.in_memory import array_source
from tests.trainer.stores import WINDOW, spec_of, store_of
from trainer.batches import (
    BATCHES_AHEAD,
    N_THREADS,
    Batch,
    EpochSource,
    LabelledWindows,
    labelled,
    windows_source,
)
from trainer.store import coefficients_of
from trainer.train_config import AugmentConfig, ImbalanceConfig

STORE = store_of((40, 25, 9, 30), (0, 1, 2, 0), n_pieces=3)
SPEC = spec_of(STORE)
WINDOWS = np.arange(len(STORE))
EVERYTHING = AugmentConfig(
    rotation_deg=5, gain=0.05, acc_bias_m_s2=0.1, time_stretch=0.1, acc_noise_m_s2=0.1, gyr_noise_rad_s=0.1, mirror=0.5
)


PLAIN, AS_MEASURED = ImbalanceConfig(), AugmentConfig()


def source(imbalance: ImbalanceConfig = PLAIN, augmentation: AugmentConfig = AS_MEASURED) -> EpochSource:
    return windows_source(STORE, WINDOWS, SPEC, imbalance=imbalance, augmentation=augmentation, seed=5)


def epoch_of(made: EpochSource, epoch: int, seed: int = 1) -> list[Batch]:
    return list(made.batches(seed=seed, epoch=epoch, batch_size=16))


def joined(batches: list[Batch]) -> NDArray[np.float32]:
    return np.concatenate([batch.coefficients for batch in batches])


def test_an_epoch_holds_each_window_once_as_the_edge_computes_it_in_an_order_of_its_own() -> None:
    truth = coefficients_of(STORE.raw(WINDOWS), SPEC)
    batches = epoch_of(source(), 0)
    assert [len(batch.label_index) for batch in batches] == [16] * 6 + [8]
    found = joined(batches)
    # Windows are told apart by their first coefficient; none of two are the same.
    order = np.argsort(truth[:, 0, 0])[np.argsort(np.argsort(found[:, 0, 0]))]
    np.testing.assert_array_equal(found, truth[order])
    labels = np.concatenate([batch.label_index for batch in batches])
    np.testing.assert_array_equal(labels, STORE.labels_of(WINDOWS)[order])
    assert not np.array_equal(order, WINDOWS)
    assert not np.array_equal(joined(epoch_of(source(), 1)), found)


@pytest.mark.parametrize("augmentation", [AugmentConfig(), EVERYTHING], ids=["plain", "augmented"])
@pytest.mark.parametrize(
    "imbalance", [ImbalanceConfig(), ImbalanceConfig(sampling="balanced"), ImbalanceConfig(smote=True)]
)
def test_an_epoch_is_a_function_of_seed_and_number(imbalance: ImbalanceConfig, augmentation: AugmentConfig) -> None:
    """Not of the epochs before it, nor of the threads that make it: that is what lets a killed training go on."""
    made = source(imbalance, augmentation)
    first = [joined(epoch_of(made, epoch)) for epoch in range(3)]
    np.testing.assert_array_equal(joined(epoch_of(source(imbalance, augmentation), 2)), first[2])
    assert not np.array_equal(first[1], first[2])
    assert not np.array_equal(joined(epoch_of(made, 2, seed=2)), first[2])
    assert all(batch.coefficients.dtype == np.float32 for batch in epoch_of(made, 0))


def test_balanced_sampling_draws_classes_and_their_people_alike() -> None:
    made = source(ImbalanceConfig(sampling="balanced", class_weights="balanced"))
    labels = np.concatenate([b.label_index for epoch in range(60) for b in epoch_of(made, epoch)])
    np.testing.assert_allclose(np.bincount(labels) / len(labels), [1 / 3] * 3, atol=0.02)
    # What is drawn alike needs no weights besides.
    np.testing.assert_allclose(made.class_weights, 1, rtol=1e-6)
    assert len(labels) == 60 * len(WINDOWS)


def test_smote_fills_up_the_rare_classes_with_rows_that_no_augmentation_touches() -> None:
    made = source(ImbalanceConfig(smote=True), EVERYTHING)
    assert np.bincount(made.label_index).tolist() == [70, 70, 70]
    rng = np.random.default_rng(0)
    synthetic = np.arange(len(WINDOWS), len(made))
    np.testing.assert_array_equal(made.gather(synthetic, rng), made.gather(synthetic, rng))
    real = made.gather(WINDOWS, rng)
    assert not np.array_equal(real, coefficients_of(STORE.raw(WINDOWS), SPEC))
    plain = source(ImbalanceConfig(smote=True))
    mixed = np.array([3, len(WINDOWS) + 2, 8])
    np.testing.assert_array_equal(plain.gather(mixed, rng)[[0, 2]], coefficients_of(STORE.raw(mixed[[0, 2]]), SPEC))
    np.testing.assert_array_equal(plain.gather(mixed, rng)[1], made.gather(mixed, rng)[1])


def test_smote_and_balanced_sampling_at_once_are_refused() -> None:
    with pytest.raises(ConfigError, match="choose one"):
        source(ImbalanceConfig(smote=True, sampling="balanced"))


def test_a_window_is_stretched_by_samples_of_its_own_stretch_alone() -> None:
    """Each piece is given a level of its own: a window with two of them would have read over the edge of a piece."""
    level = np.repeat(np.arange(len(STORE.piece_start)), STORE.piece_stop - STORE.piece_start).astype(np.float32)
    flat = replace(STORE, samples=np.repeat(level[:, np.newaxis], 6, axis=1), gravity="removed")
    config = AugmentConfig(time_stretch=0.2)
    spec = replace(SPEC, mean=np.zeros(6, np.float32), deviation=np.ones(6, np.float32))
    made = windows_source(flat, WINDOWS, spec, imbalance=ImbalanceConfig(), augmentation=config, seed=0)
    found = made.gather(WINDOWS, np.random.default_rng(0))
    # Of a level all differences are nothing: cD3, cD2 and cD1 of db1.
    np.testing.assert_allclose(found[:, WINDOW // 8 :], 0, atol=1e-4)
    assert found[:, : WINDOW // 8].std() > 0.1


def test_what_is_made_ahead_is_bounded_and_stops_with_its_reader() -> None:
    made: list[int] = []
    enough = threading.Semaphore(0)

    def gather(rows: NDArray[np.int64], _: np.random.Generator) -> NDArray[np.float32]:
        made.append(len(rows))
        enough.release()
        return np.zeros((len(rows), 1, 6), np.float32)

    endless = EpochSource(
        np.zeros(100_000, np.int64),
        frozenset(),
        np.ones(1, np.float32),
        None,
        gather,
        np.zeros(100_000, np.int64),
    )
    batches = endless.batches(seed=0, epoch=0, batch_size=10)
    next(batches)
    for _ in range(BATCHES_AHEAD + 1):
        enough.acquire(timeout=60)
    assert len(made) == BATCHES_AHEAD + 1
    batches.close()
    assert len(made) <= BATCHES_AHEAD + 1 + N_THREADS
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("batches")]


def test_an_error_of_a_thread_reaches_the_reader() -> None:
    def gather(rows: NDArray[np.int64], _: np.random.Generator) -> NDArray[np.float32]:
        raise MemoryError("no room for a batch")

    broken = EpochSource(
        np.zeros(100, np.int64), frozenset(), np.ones(1, np.float32), None, gather, np.zeros(100, np.int64)
    )
    with pytest.raises(MemoryError, match="no room"):
        epoch_of(broken, 0)


def test_windows_in_memory_are_a_source_too() -> None:
    windows = labelled(STORE, WINDOWS, SPEC)
    np.testing.assert_array_equal(windows.coefficients, coefficients_of(STORE.raw(WINDOWS), SPEC))
    made = array_source(windows, 3)
    np.testing.assert_array_equal(joined(epoch_of(made, 4)), joined(epoch_of(source(), 4)))
    assert made.person_ids == frozenset(STORE.subject_ids)
    filled = array_source(windows, 3, ImbalanceConfig(smote=True), seed=5)
    np.testing.assert_array_equal(joined(epoch_of(filled, 0)), joined(epoch_of(source(ImbalanceConfig(smote=True)), 0)))


def test_windows_need_a_label_and_a_person_each() -> None:
    windows = labelled(STORE, WINDOWS, SPEC)
    with pytest.raises(ValueError, match="one value a window"):
        LabelledWindows(windows.coefficients, windows.label_index[1:], windows.person_ids)
    with pytest.raises(ValueError, match="must be"):
        LabelledWindows(windows.coefficients[0], windows.label_index, windows.person_ids)


def test_batches_are_made_without_tensorflow() -> None:
    """Workers that only prepare data must not pay the seconds and the memory of its import."""
    code = "import sys, trainer.batches, trainer.history, trainer.checkpoint; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_fresh_windows_take_others_in_each_epoch_and_never_more_than_the_cap_of_a_person() -> None:
    def fresh(imbalance: ImbalanceConfig) -> EpochSource:
        return windows_source(
            STORE, WINDOWS, SPEC, imbalance=imbalance, augmentation=AS_MEASURED, seed=5, windows_per_person=10
        )

    made = fresh(ImbalanceConfig(class_weights="balanced"))
    assert len(made) == 10 + 10 + 9 + 10
    seen = []
    for epoch in (0, 1):
        batches = epoch_of(made, epoch)
        labels = np.concatenate([batch.label_index for batch in batches])
        weights = np.concatenate([batch.weight for batch in batches])
        assert np.bincount(labels).tolist() == [20, 10, 9]
        for label in range(3):  # classes weigh alike by what an epoch holds, not by how long people walked
            assert weights[labels == label].sum() == pytest.approx(13)
        seen.append({window.tobytes() for batch in batches for window in batch.coefficients})
        assert len(seen[-1]) == 39
    assert 9 <= len(seen[0] & seen[1]) < 39
    with pytest.raises(TrainingError, match="SMOTE"):
        fresh(ImbalanceConfig(smote=True))


def test_fresh_windows_drawn_alike_weigh_alike() -> None:
    """Balanced sampling, balanced weights and a cap on a person's rows at once: nothing is left to weigh."""
    made = windows_source(
        STORE,
        WINDOWS,
        SPEC,
        imbalance=ImbalanceConfig(sampling="balanced", class_weights="balanced"),
        augmentation=AS_MEASURED,
        seed=5,
        windows_per_person=10,
    )
    np.testing.assert_allclose(made.class_weights, 1, rtol=1e-6)
    assert sum(len(batch.label_index) for batch in epoch_of(made, 0)) == len(made) == 39
