"""gaitmap, which knows nothing of this project, measures the same real strides: length and speed must agree.

Its strides come from borders marked by hand (`stride_borders_sample.csv`) where there are some, else from its own
DTW; trajectories from its own integration at the sensor's rate. Ours are found at 104 Hz from the resampled signal.
"""

import importlib.util

import numpy as np
import pytest
from numpy.typing import NDArray

from edge.stream.resample import resample_all
from edge.stream.strides import StrideDetector
from firmware_bridge.channels import CHANNELS, GYR
from tests.shared_data import shared

if importlib.util.find_spec("gaitmap") is None or importlib.util.find_spec("gaitmap_mad") is None:
    pytest.skip("gaitmap and gaitmap_mad are not both installed", allow_module_level=True)

pytestmark = [
    pytest.mark.filterwarnings("ignore:open_text is deprecated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:There are still overlapping strides:UserWarning"),
]

RATE_HZ = 104.0
Reference = list[tuple[float, float, float, float]]
"""Contact, next contact, length in m and speed in m/s of a stride."""


def gaitmap_strides(degrees: NDArray[np.float64], rate_hz: float, side: str) -> Reference:
    """``(n, 6)`` in m/s² and deg/s, foot frame."""
    import pandas as pd
    from gaitmap.event_detection import RamppEventDetection
    from gaitmap.parameters import SpatialParameterCalculation, TemporalParameterCalculation
    from gaitmap.stride_segmentation import BarthDtw
    from gaitmap.trajectory_reconstruction import StrideLevelTrajectory
    from gaitmap.utils.coordinate_conversion import convert_left_foot_to_fbf, convert_right_foot_to_fbf

    frame = pd.DataFrame(degrees, columns=list(CHANNELS))
    body = (convert_left_foot_to_fbf if side.endswith("left") else convert_right_foot_to_fbf)(frame)
    if side == "ms left":
        borders = BarthDtw().segment(data=body, sampling_rate_hz=rate_hz).stride_list_
    else:
        borders = pd.read_csv(shared("walks/gaitmap/stride_borders_sample.csv"))
        borders = borders[borders["foot"] == side].set_index("s_id")[["start", "end"]]
    events = RamppEventDetection().detect(data=body, stride_list=borders, sampling_rate_hz=rate_hz).min_vel_event_list_
    path = StrideLevelTrajectory().estimate(data=frame, stride_event_list=events, sampling_rate_hz=rate_hz)
    spatial = SpatialParameterCalculation().calculate(
        positions=path.position_, orientations=path.orientation_, stride_event_list=events, sampling_rate_hz=rate_hz
    )
    times = TemporalParameterCalculation().calculate(stride_event_list=events, sampling_rate_hz=rate_hz).parameters_
    return [
        (
            event["pre_ic"] / rate_hz,
            event["ic"] / rate_hz,
            float(spatial.parameters_.loc[identity, "stride_length"]),
            float(spatial.parameters_.loc[identity, "stride_length"] / times.loc[identity, "stride_time"]),
        )
        for identity, event in events.iterrows()
    ]


def read(side: str) -> tuple[NDArray[np.float64], float]:
    if side == "ms left":
        path = shared("walks/gaitmap/imu_sample_ms_left.csv")
        return np.genfromtxt(path, delimiter=",", skip_header=1)[:, 2:8], 102.4
    path = shared("walks/gaitmap/imu_sample.csv")
    first = 1 + (side == "right")
    return np.genfromtxt(path, delimiter=",", skip_header=2)[:, first : first + 12 : 2], 204.8


@pytest.mark.parametrize("side", ["left", "right", "ms left"])
def test_stride_length_and_speed_of_real_walks_are_gaitmap_s_within_3_percent(side: str) -> None:
    degrees, rate_hz = read(side)
    reference = gaitmap_strides(degrees, rate_hz, side)
    samples = degrees.copy()
    samples[:, GYR] = np.deg2rad(samples[:, GYR])
    time_ns = np.rint(np.arange(len(samples)) * 1e9 / rate_hz).astype(np.int64)
    (piece,) = resample_all(
        time_ns, samples.astype(np.float32), rate_in_hz=rate_hz, rate_out_hz=RATE_HZ, max_bridged_gap_ms=40
    )
    detector = StrideDetector(RATE_HZ, gravity_included=True)
    strides = detector.push(piece.samples) + detector.finish()
    stops = np.array([stride.stop_index / RATE_HZ for stride in strides])
    lengths, speeds, times = [], [], []
    for begin, end, length_m, speed_m_s in reference:
        stride = strides[int(np.argmin(np.abs(stops - end)))]
        same = abs(stride.stop_index / RATE_HZ - end) < 0.25 and abs(stride.start_index / RATE_HZ - begin) < 0.25
        if same and stride.stride_length_m is not None and stride.gait_speed_m_s is not None:
            lengths.append(stride.stride_length_m / length_m)
            speeds.append(stride.gait_speed_m_s / speed_m_s)
            times.append(stride.stride_time_s / (end - begin))
    errors = [float(np.median(np.abs(np.array(ratio) - 1))) for ratio in (times, lengths, speeds)]
    print(
        f"\n| {side} | {len(reference)} | {len(strides)} | {len(lengths)} "
        f"| {100 * errors[0]:.1f} % | {100 * errors[1]:.1f} % | {100 * errors[2]:.1f} % |"
        f" bias of length {np.median(lengths) - 1:+.3f}"
    )
    assert len(lengths) >= 0.9 * len(reference)
    assert max(errors) <= 0.03
