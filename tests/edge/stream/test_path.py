"""The whole chain: however a stream is cut, the result is the batch's, bit for bit; windows obey the gap rule."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge.stream.path import SignalPath
from edge.stream.preprocess import SignalSpec, coefficients, max_level, n_coefficients
from edge.stream.screen import ScreenSpec
from edge.stream.windows import Window
from firmware_bridge.channels import Samples
from tests.edge.stream.batch import windows_of

WINDOW, HOP = 200, 50


def spec(window_samples: int = WINDOW, hop_samples: int = HOP) -> SignalSpec:
    return SignalSpec(
        rate_hz=104.0,
        window_samples=window_samples,
        hop_samples=hop_samples,
        max_bridged_gap_ms=40.0,
        max_bridged_share=0.1,
        outlier_lower=np.full(6, -2.5, dtype=np.float32),
        outlier_upper=np.full(6, 2.5, dtype=np.float32),
        mean=np.linspace(-1, 1, 6).astype(np.float32),
        deviation=np.linspace(0.5, 2, 6).astype(np.float32),
        wavelet_level=max_level(window_samples),
    )


def signal(n_samples: int, rate_hz: float, seed: int) -> tuple[NDArray[np.int64], Samples]:
    rng = np.random.default_rng(seed)
    period_ns = 1e9 / rate_hz
    # A clock that is never quite regular, as of a real sensor.
    time_ns = np.rint(np.arange(n_samples) * period_ns + rng.uniform(-0.1, 0.1, n_samples) * period_ns)
    return time_ns.astype(np.int64), rng.normal(size=(n_samples, 6)).astype(np.float32)


def assert_same(left: list[Window], right: list[Window]) -> None:
    assert len(left) == len(right)
    for a, b in zip(left, right, strict=True):
        assert (a.stretch, a.sample_start, a.sample_stop, a.start_ns, a.stop_ns) == (
            b.stretch,
            b.sample_start,
            b.sample_stop,
            b.start_ns,
            b.stop_ns,
        )
        assert (a.bridged_share, a.outlier_share) == (b.bridged_share, b.outlier_share)
        assert a.coefficients.tobytes() == b.coefficients.tobytes()


@settings(max_examples=60)
@given(
    rate_hz=st.sampled_from([50.0, 100.0, 104.0, 128.0, 204.8, 398.0, 500.0]),
    seed=st.integers(0, 2**16),
    losses=st.lists(st.tuples(st.floats(0, 1), st.integers(1, 60)), max_size=6),
    cuts=st.lists(st.floats(0, 1), max_size=40),
)
def test_a_stream_cut_anywhere_gives_bit_for_bit_what_the_batch_gives(
    rate_hz: float, seed: int, losses: list[tuple[float, int]], cuts: list[float]
) -> None:
    time_ns, samples = signal(int(10 * rate_hz), rate_hz, seed)
    keep = np.ones(len(time_ns), dtype=bool)
    for where, n_lost in losses:
        first = int(where * (len(time_ns) - 1))
        keep[first : first + n_lost] = False
    time_ns, samples = time_ns[keep], samples[keep]
    batch = windows_of(time_ns, samples, rate_in_hz=rate_hz, spec=spec())
    borders = sorted({0, len(time_ns), *(int(cut * len(time_ns)) for cut in cuts)})
    path = SignalPath(spec(), rate_hz)
    stream: list[Window] = []
    for begin, end in itertools.pairwise(borders):
        stream += path.push(time_ns[begin:end], samples[begin:end])
    stream += path.finish()
    assert_same(stream, batch)


def test_one_sample_at_a_time_gives_what_the_batch_gives() -> None:
    time_ns, samples = signal(900, 104.0, seed=3)
    path = SignalPath(spec(), 104.0)
    stream = [w for i in range(len(samples)) for w in path.push(time_ns[i : i + 1], samples[i : i + 1])]
    assert_same(stream + path.finish(), windows_of(time_ns, samples, rate_in_hz=104.0, spec=spec()))


@settings(max_examples=50)
@given(lengths=st.lists(st.integers(1, 700), min_size=1, max_size=5), seed=st.integers(0, 100))
def test_each_stretch_gives_a_window_every_fifty_samples_once_it_has_two_hundred(lengths: list[int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    path, start_ns = SignalPath(spec(), 104.0), 0
    windows: list[Window] = []
    for length in lengths:
        time_ns = start_ns + np.rint(np.arange(length) * 1e9 / 104.0).astype(np.int64)
        windows += path.push(time_ns, rng.normal(size=(length, 6)).astype(np.float32))
        start_ns = int(time_ns[-1]) + 100_000_000
    windows += path.finish()
    expected = [max(0, (length - WINDOW) // HOP + 1) for length in lengths]
    assert [sum(w.stretch == i for w in windows) for i in range(len(lengths))] == expected
    assert path.counts.n_long_gaps == len(lengths) - 1
    assert all(w.sample_stop - w.sample_start == WINDOW for w in windows)


def test_a_window_with_more_than_a_tenth_bridged_is_not_used() -> None:
    time_ns = np.rint(np.arange(1000) * 1e9 / 104.0).astype(np.int64)
    samples = np.random.default_rng(0).normal(size=(1000, 6)).astype(np.float32)
    keep = np.ones(1000, dtype=bool)
    for first in range(400, 520, 20):
        keep[first : first + 4] = False  # 24 of the 120 samples from 400 on
    path = SignalPath(spec(), 104.0)
    windows = path.push(time_ns[keep], samples[keep]) + path.finish()
    made = {w.sample_start: w.bridged_share for w in windows}
    for start in range(0, 801, HOP):
        lost = int(np.count_nonzero(~keep[start : start + WINDOW]))
        assert (start in made) == (lost <= 20)
        if start in made:
            assert made[start] == lost / WINDOW
    assert path.counts.n_windows_refused == sum(
        np.count_nonzero(~keep[s : s + WINDOW]) > 20 for s in range(0, 801, HOP)
    )
    screened = SignalPath(spec(), 104.0, ScreenSpec(gate=False, mounting="trust", refused_flags=()))
    told = screened.push(time_ns[keep], samples[keep])
    verdicts = list(screened.verdicts)
    told += screened.finish()
    verdicts += screened.verdicts
    assert {w.sample_start for w in told} == set(range(0, 801, HOP)), "with a screen it is told, and refused"
    assert {w.sample_start for w, v in zip(told, verdicts, strict=True) if v.refusal == ""} == set(made)
    assert {v.refusal for w, v in zip(told, verdicts, strict=True) if w.sample_start not in made} == {"gaps"}
    assert screened.counts == path.counts


def test_outliers_are_set_to_the_limit_and_counted() -> None:
    samples = np.zeros((200, 6), dtype=np.float32)
    samples[10, 2] = 99.0
    time_ns = np.rint(np.arange(200) * 1e9 / 104.0).astype(np.int64)
    clean = samples.copy()
    clean[10, 2] = 2.5
    path = SignalPath(spec(), 104.0)
    (window,) = path.push(time_ns, samples) + path.finish()
    (expected,) = windows_of(time_ns, clean, rate_in_hz=104.0, spec=spec())
    assert window.coefficients.tobytes() == expected.coefficients.tobytes()
    assert window.outlier_share == 1 / 200
    assert path.counts.n_outliers == 1


def test_coefficients_are_haar_from_coarse_to_fine() -> None:
    window = np.random.default_rng(5).normal(size=(200, 6)).astype(np.float32)
    approximation, details = window.astype(np.float64), []
    for _ in range(7):
        if len(approximation) % 2:
            approximation = np.concatenate((approximation, approximation[-1:]))
        details.append((approximation[0::2] - approximation[1::2]) / np.sqrt(2))
        approximation = (approximation[0::2] + approximation[1::2]) / np.sqrt(2)
    by_hand = np.concatenate([approximation, *reversed(details)])
    assert coefficients(window, 7).shape == (203, 6)
    assert np.abs(coefficients(window, 7) - by_hand).max() < 1e-5


@pytest.mark.parametrize(("level", "expected"), [(1, 200), (2, 200), (3, 200), (4, 201), (5, 202), (6, 203), (7, 203)])
def test_the_number_of_coefficients_follows_from_the_level(level: int, expected: int) -> None:
    assert n_coefficients(WINDOW, level) == expected
    assert len(coefficients(np.zeros((WINDOW, 6), dtype=np.float32), level)) == expected


def test_without_a_level_the_paper_means_the_largest() -> None:
    assert max_level(WINDOW) == 7
