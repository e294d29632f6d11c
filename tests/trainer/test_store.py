"""One store of windows: the same windows and coefficients, bit for bit, as the edge's own signal path makes."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge.errors import DatasetError
from edge.stream.preprocess import SignalSpec
from tests.edge.stream.batch import windows_of
from tests.trainer.made import made_dataset, made_recording, made_store
from trainer.cutting import window_starts
from trainer.datasets.dataset import Walk
from trainer.store import WindowStore, build_store, capped, coefficients_of
from trainer.train_config import SignalConfig


def spec(level: int) -> SignalSpec:
    signal = SignalConfig()
    return SignalSpec(
        rate_hz=signal.sample_rate_hz,
        window_samples=signal.window_samples,
        hop_samples=signal.hop_samples,
        max_bridged_gap_ms=signal.max_bridged_gap_ms,
        max_bridged_share=signal.max_bridged_share,
        outlier_lower=np.full(6, -2.0, np.float32),
        outlier_upper=np.full(6, 9.9, np.float32),
        mean=np.linspace(-1, 1, 6, dtype=np.float32),
        deviation=np.linspace(0.5, 3, 6, dtype=np.float32),
        wavelet_level=level,
    )


@pytest.mark.parametrize("level", [3, 7])
def test_windows_with_gaps_are_those_of_the_edge_bit_for_bit(level: int) -> None:
    dataset = made_dataset(3, walks=1)
    whole = made_recording(5, 1.0, n_samples=3000, rate_hz=128.0)
    # A bridged gap of 3 samples, a long one of 40, then three short ones close together: too much is bridged there.
    kept = np.ones(3000, np.bool_)
    for first, n_lost in ((400, 3), (900, 40), (1500, 4), (1540, 4), (1580, 4), (1620, 4), (1660, 4), (1700, 4)):
        kept[first : first + n_lost] = False
    damaged = replace(whole, time_ns=whole.time_ns[kept], samples=whole.samples[kept])
    subject = replace(dataset.subjects[1], walks=(Walk("damaged", damaged, "A"),))
    store = build_store(replace(dataset, subjects=(dataset.subjects[0], subject, dataset.subjects[2])), SignalConfig())
    edge = windows_of(damaged.time_ns, damaged.samples, rate_in_hz=128.0, spec=spec(level))
    own = np.flatnonzero(store.subject == 1)
    assert len(own) == len(edge) > 20
    expected = np.stack([window.coefficients for window in edge])
    assert np.array_equal(coefficients_of(store.raw(own), spec(level)), expected)
    whole_count = len(window_starts(np.zeros(round(3000 / 128 * 104), np.bool_), SignalConfig()))
    assert len(own) < whole_count - 3  # the long gap and the heavily bridged stretch cost windows


@settings(max_examples=60)
@given(st.lists(st.booleans(), min_size=0, max_size=600))
def test_no_window_holds_more_bridged_samples_than_allowed_and_none_that_may_be_is_left_out(
    bridged: list[bool],
) -> None:
    signal = SignalConfig()
    flags = np.array(bridged, np.bool_)
    starts = window_starts(flags, signal)
    for start in range(0, len(flags) - signal.window_samples + 1, signal.hop_samples):
        share = flags[start : start + signal.window_samples].mean()
        assert (start in starts) == (share <= signal.max_bridged_share)


def test_a_saved_store_comes_back_mapped_and_the_same(tmp_path: Path) -> None:
    store = made_store(6)
    store.save(tmp_path / "store")
    again = WindowStore.load(tmp_path / "store")
    assert isinstance(again.samples, np.memmap)
    for name in WindowStore.__dataclass_fields__:
        assert np.array_equal(getattr(again, name), getattr(store, name)), name


def test_a_person_without_a_window_is_named() -> None:
    dataset = made_dataset(3, n_samples=150)
    with pytest.raises(DatasetError, match="P000"):
        build_store(dataset, SignalConfig())


def test_people_of_one_class_alone_are_refused() -> None:
    dataset = made_dataset(4)
    alone = replace(dataset, subjects=tuple(subject for subject in dataset.subjects if subject.label == "robust"))
    with pytest.raises(DatasetError, match=r"people\.csv: everybody .* is robust; two classes or more"):
        build_store(alone, SignalConfig())
    assert len(build_store(alone, SignalConfig(), for_training=False).subject_ids) == 2


def test_the_same_recording_under_two_names_is_refused_and_twice_the_same_of_one_person_is_not() -> None:
    """Another file with the same samples: the check by place in the store would not find it."""
    dataset = made_dataset(3, walks=1)
    first, second, third = dataset.subjects
    copied = replace(first.walks[0].recording, path=Path("copied.csv"))
    shared = replace(second, walks=(*second.walks, Walk("copied", copied, "A")))
    with pytest.raises(DatasetError, match=r"copied\.csv of P001 is sample for sample made-0\.csv of P000"):
        build_store(replace(dataset, subjects=(first, shared, third)), SignalConfig())
    again = replace(first, walks=(*first.walks, Walk("copied", copied, "A")))
    assert len(build_store(replace(dataset, subjects=(again, second, third)), SignalConfig()).walk_names) == 4
    # Too short for a window, such as the zeros of a sensor that was not on.
    stub = replace(copied, time_ns=copied.time_ns[:150], samples=copied.samples[:150])
    people = (replace(s, walks=(*s.walks, Walk(f"stub {s.id}", stub, "A"))) for s in (first, second))
    assert len(build_store(replace(dataset, subjects=(*people, third)), SignalConfig()).walk_names) == 5


def test_labels_people_and_walks_of_windows_belong_together() -> None:
    store = made_store(7)
    windows: NDArray[np.int64] = np.arange(len(store))
    assert store.person_ids(windows)[0] == "P000"
    for person, label in zip(store.person_ids(windows), store.labels_of(windows), strict=True):
        assert int(person[1:]) % 3 == label
    total = sum(len(piece) for walk in range(len(store.walk_names)) for piece in store.pieces_of_walk(walk))
    assert total == len(store.samples) == sum(len(store.samples_of_subject(i)) for i in range(7))


def test_a_cap_spreads_over_all_walks_and_none_keeps_everything() -> None:
    store = made_store(3)
    all_windows = np.arange(len(store))
    assert np.array_equal(capped(store, np.arange(3), 0), all_windows)
    few = capped(store, np.arange(3), 6)
    assert np.bincount(store.subject[few]).tolist() == [6, 6, 6]
    assert np.bincount(store.walk[few]).tolist() == [3] * 6
