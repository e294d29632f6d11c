"""What is found from the samples alone, held against real walks whose units and rate are known."""

import numpy as np
import pytest
from numpy.typing import NDArray

from edge.sources import detect
from edge.sources.files import read_recording
from tests.shared_data import shared

WALKS = [
    ("walks/gaitmap/imu_sample.csv", "left", 2, 1.08),
    ("walks/gaitmap/imu_sample.csv", "right", 2, 1.08),
    ("walks/gaitmap/imu_sample_ms_left.csv", None, 1, 0.92),
]


def _samples(file: str, side: str | None, every: int) -> tuple[NDArray[np.float64], float]:
    """Samples at 102.4 Hz."""
    recording = read_recording(shared(file), sensor="gaitmap", side=side)
    samples = recording.samples.astype(np.float64)
    n_samples = len(samples) // every * every
    return samples[:n_samples].reshape(-1, every, 6).mean(axis=1), recording.rate_hz / every


@pytest.mark.parametrize(("file", "side", "every", "stride_s"), WALKS)
def test_units_and_columns_of_real_walks_are_found(file: str, side: str | None, every: int, stride_s: float) -> None:
    values, _ = _samples(file, side, every)
    rest = detect.rest_rows(values)
    assert detect.acc_comes_first(values, rest) is True
    assert detect.acc_comes_first(values[:, [3, 4, 5, 0, 1, 2]], rest) is False
    assert detect.acc_unit(detect.acc_at_rest(values, rest)) == "m/s^2"
    assert detect.acc_unit(detect.acc_at_rest(values / 9.81, rest)) == "g"
    assert detect.gyr_unit(detect.gyr_peak(values, rest)) == "rad/s"
    assert detect.gyr_unit(detect.gyr_peak(np.rad2deg(values), rest)) == "deg/s"


@pytest.mark.parametrize(("file", "side", "every", "stride_s"), WALKS)
def test_the_strides_of_real_walks_are_counted(file: str, side: str | None, every: int, stride_s: float) -> None:
    values, rate_hz = _samples(file, side, every)
    n_samples = detect.samples_per_stride(values, stride_s)
    assert n_samples is not None
    assert n_samples / rate_hz == pytest.approx(stride_s, rel=0.04)


def test_the_stride_time_of_gaitmaps_own_borders_is_the_one_used_here() -> None:
    borders = np.genfromtxt(
        shared("walks/gaitmap/stride_borders_sample.csv"), delimiter=",", skip_header=1, usecols=(2, 3)
    )
    assert np.median(borders[:, 1] - borders[:, 0]) / 204.8 == pytest.approx(1.08, rel=0.02)


def test_a_foot_at_rest_gives_no_unit_and_no_rate() -> None:
    rng = np.random.default_rng(1)
    values = np.array([0, 0, 9.81, 0, 0, 0]) + rng.normal(0.0, 0.02, (4000, 6))
    rest = detect.rest_rows(values)
    assert detect.gyr_unit(detect.gyr_peak(values, rest)) is None
    n_samples = detect.samples_per_stride(values, 1.1)
    assert n_samples is None or detect.nearest_rate(n_samples / 1.1) is None


def test_a_rate_between_the_devices_is_neither() -> None:
    assert detect.nearest_rate(105.0) == 104.0
    assert detect.nearest_rate(125.0) == 128.0
    assert detect.nearest_rate(115.0) is None
    assert detect.nearest_rate(90.0) is None
