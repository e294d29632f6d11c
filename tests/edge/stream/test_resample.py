"""The resampler: right in frequency, exact where nothing is to do, honest about gaps."""

import numpy as np
import pytest
from numpy.typing import NDArray

from edge.stream.resample import Resampled, Resampler, resample_all
from firmware_bridge.channels import Samples

RATE_OUT_HZ = 104.0
GAP_MS = 40.0


def grid_ns(n_samples: int, rate_hz: float) -> NDArray[np.int64]:
    times: NDArray[np.int64] = np.rint(np.arange(n_samples) * 1e9 / rate_hz).astype(np.int64)
    return times


def sines(time_s: NDArray[np.float64], frequency_hz: float) -> Samples:
    channels: Samples = np.stack([np.sin(2 * np.pi * frequency_hz * time_s + k) for k in range(6)], 1).astype(
        np.float32
    )
    return channels


def whole(time_ns: NDArray[np.int64], samples: Samples, rate_hz: float) -> list[Resampled]:
    return resample_all(time_ns, samples, rate_in_hz=rate_hz, rate_out_hz=RATE_OUT_HZ, max_bridged_gap_ms=GAP_MS)


@pytest.mark.parametrize("rate_hz", [50.0, 100.0, 102.4, 128.0, 204.8, 398.0, 500.0])
@pytest.mark.parametrize("frequency_hz", [0.0, 1.0, 8.0, 15.0])
def test_gait_frequencies_pass_at_every_rate(rate_hz: float, frequency_hz: float) -> None:
    time_ns = grid_ns(int(20 * rate_hz), rate_hz)
    (piece,) = whole(time_ns, sines(time_ns / 1e9, frequency_hz), rate_hz)
    expected = sines(np.arange(len(piece.samples)) / RATE_OUT_HZ, frequency_hz)
    inner = slice(20, -20)
    assert np.abs(piece.samples[inner] - expected[inner]).max() < 2e-3


@pytest.mark.parametrize("rate_hz", [204.8, 398.0, 500.0])
@pytest.mark.parametrize("frequency_hz", [65.0, 80.0, 95.0])
def test_what_the_output_cannot_carry_is_cut_before_it_folds(rate_hz: float, frequency_hz: float) -> None:
    time_ns = grid_ns(int(20 * rate_hz), rate_hz)
    (piece,) = whole(time_ns, sines(time_ns / 1e9, frequency_hz), rate_hz)
    assert np.abs(piece.samples[20:-20]).max() < 0.01


def test_the_output_rate_itself_passes_unchanged_to_the_bit() -> None:
    samples = np.random.default_rng(1).normal(size=(500, 6)).astype(np.float32)
    (piece,) = whole(grid_ns(500, RATE_OUT_HZ), samples, RATE_OUT_HZ)
    assert np.array_equal(piece.samples, samples)
    assert not piece.bridged.any()


def test_a_small_gap_is_bridged_by_a_line_marked_and_counted() -> None:
    time_ns = grid_ns(200, RATE_OUT_HZ)
    samples = np.repeat(np.arange(200, dtype=np.float32)[:, None], 6, axis=1)
    keep = np.ones(200, dtype=bool)
    keep[100:104] = False  # four samples: one packet
    resampler = Resampler(RATE_OUT_HZ, RATE_OUT_HZ, GAP_MS)
    pieces = resampler.push(time_ns[keep], samples[keep]) + resampler.finish()
    bridged = np.concatenate([piece.bridged for piece in pieces])
    assert np.flatnonzero(bridged).tolist() == [100, 101, 102, 103]
    assert np.allclose(np.concatenate([piece.samples for piece in pieces]), samples, atol=1e-3)
    assert (resampler.counts.n_bridged_gaps, resampler.counts.n_bridged_samples) == (1, 4)
    assert resampler.counts.n_long_gaps == 0


def test_one_sample_more_ends_the_stretch_and_nothing_is_made_up() -> None:
    time_ns = grid_ns(200, RATE_OUT_HZ)
    samples = np.ones((200, 6), dtype=np.float32)
    keep = np.ones(200, dtype=bool)
    keep[100:105] = False  # 48.1 ms of missing signal, over the 40 ms
    pieces = whole(time_ns[keep], samples[keep], RATE_OUT_HZ)
    assert [(piece.stretch, len(piece.samples)) for piece in pieces] == [(0, 100), (1, 95)]
    assert pieces[1].start_ns == time_ns[105]
    resampler = Resampler(RATE_OUT_HZ, RATE_OUT_HZ, GAP_MS)
    resampler.push(time_ns[keep], samples[keep])
    assert (resampler.counts.n_long_gaps, resampler.counts.n_long_gap_samples) == (1, 5)


def test_a_sensor_a_little_off_its_nominal_rate_keeps_its_own_time() -> None:
    true_rate_hz = 104.0 * 1.03
    time_ns = grid_ns(int(60 * true_rate_hz), true_rate_hz)
    (piece,) = whole(time_ns, sines(time_ns / 1e9, 2.0), 104.0)
    expected = sines(np.arange(len(piece.samples)) / RATE_OUT_HZ, 2.0)
    assert np.abs(piece.samples[20:-20] - expected[20:-20]).max() < 2e-3


@pytest.mark.parametrize("rate_hz", [10.0, 19.9, 501.0])
def test_rates_out_of_range_are_refused(rate_hz: float) -> None:
    with pytest.raises(ValueError, match="rate_in_hz"):
        Resampler(rate_hz, RATE_OUT_HZ, GAP_MS)


def test_time_that_stands_still_is_refused() -> None:
    resampler = Resampler(104.0, RATE_OUT_HZ, GAP_MS)
    with pytest.raises(ValueError, match="increasing"):
        resampler.push(np.array([0, 10, 10], dtype=np.int64), np.zeros((3, 6), dtype=np.float32))
