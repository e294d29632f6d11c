"""Strides of real walks and of virtual walkers tell what a count of the gyro is worth and where the toe points."""

import numpy as np
import pytest
from numpy.typing import NDArray

from edge.sources import strides
from edge.sources.files import read_recording
from edge.stream.resample import resample_all
from tests.edge.sources.walks import walked
from tests.shared_data import shared

COUNT_RAD_S = 0.001
HEALTHY = [
    ("walks/gaitmap/imu_sample.csv", "gaitmap", "left"),
    ("walks/gaitmap/imu_sample.csv", "gaitmap", "right"),
    ("walks/xio/short_walk.csv", "xio", None),
]
MULTIPLE_SCLEROSIS = ("walks/gaitmap/imu_sample_ms_left.csv", "gaitmap", None)


def _real(file: str, sensor: str, side: str | None) -> NDArray[np.float64]:
    """The longest stretch at 104 Hz."""
    recording = read_recording(shared(file), sensor=sensor, side=side)
    pieces = resample_all(
        recording.time_ns,
        recording.samples,
        rate_in_hz=recording.rate_hz,
        rate_out_hz=104.0,
        max_bridged_gap_ms=40.0,
    )
    return max((piece.samples.astype(np.float64) for piece in pieces), key=len)


@pytest.mark.parametrize(("file", "sensor", "side"), HEALTHY)
def test_both_ways_find_the_gyro_scale_of_real_walks(file: str, sensor: str, side: str | None) -> None:
    samples = _real(file, sensor, side)
    found = strides.gyr_scale(samples[:, :3], samples[:, 3:] / COUNT_RAD_S, 104.0)
    assert found.by_speed == pytest.approx(COUNT_RAD_S, rel=0.02)
    assert found.by_tilt == pytest.approx(COUNT_RAD_S, rel=0.04)
    assert found.agreed == found.by_speed


def test_a_real_gait_whose_stances_are_no_rest_gets_no_scale() -> None:
    samples = _real(*MULTIPLE_SCLEROSIS)
    found = strides.gyr_scale(samples[:, :3], samples[:, 3:] / COUNT_RAD_S, 104.0)
    assert found.by_tilt is None
    assert found.agreed is None


@pytest.mark.parametrize(("file", "sensor", "side"), [*HEALTHY, MULTIPLE_SCLEROSIS])
def test_strides_of_real_walks_lead_along_x(file: str, sensor: str, side: str | None) -> None:
    along = strides.leads_along(_real(file, sensor, side), 104.0)
    assert along is not None
    assert abs(np.degrees(np.arctan2(along[1], along[0]))) < 20


def test_a_twins_strides_find_scale_and_toe() -> None:
    found = strides.gyr_scale(walked()[:, :3], walked()[:, 3:] / COUNT_RAD_S, 104.0)
    assert found.by_speed == pytest.approx(COUNT_RAD_S, rel=0.02)
    assert found.by_tilt == pytest.approx(COUNT_RAD_S, rel=0.04)
    along = strides.leads_along(walked(), 104.0)
    assert along is not None
    assert abs(np.degrees(np.arctan2(along[1], along[0]))) < 3


def test_ways_that_contradict_each_other_give_no_scale() -> None:
    assert strides.GyroScale(0.001, 0.00109, 30).agreed == 0.001
    assert strides.GyroScale(0.001, 0.00111, 30).agreed is None
    assert strides.GyroScale(None, 0.001, 30).agreed is None


def test_acceleration_of_the_wrong_size_gives_no_scale() -> None:
    found = strides.gyr_scale(1.3 * walked()[:, :3], walked()[:, 3:] / COUNT_RAD_S, 104.0)
    assert found.agreed is None


def test_a_foot_at_rest_gives_no_scale_and_no_toe() -> None:
    rng = np.random.default_rng(1)
    values = np.array([0, 0, 9.81, 0, 0, 0]) + rng.normal(0.0, 0.02, (4000, 6))
    assert strides.gyr_scale(values[:, :3], values[:, 3:], 104.0).agreed is None
    assert strides.leads_along(values, 104.0) is None
    assert strides.leads_along(values[:10], 104.0) is None
