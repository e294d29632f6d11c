"""gaitmap, which knows nothing of this project, judges whether virtual strides are found, and measured right.

Its DTW segmentation lives in gaitmap_mad (AGPL, for tests only). One documented parameter of `BarthDtw` is set:
``max_cost``, whose default of 4 fits brisk gait, while slow shuffling strides cost more against its template.
"""

import csv
import importlib.util
import itertools

import numpy as np
import pytest

from firmware_bridge.channels import ACC, CHANNELS, GYR
from firmware_bridge.walker import Figure, GaitParameters, Stride, Walker, walk_with_truth
from tests.shared_data import shared

if importlib.util.find_spec("gaitmap") is None or importlib.util.find_spec("gaitmap_mad") is None:
    pytest.skip("gaitmap and gaitmap_mad are not both installed", allow_module_level=True)

pytestmark = [
    # Matches in turns may overlap; only strides matched with true walking strides count below.
    pytest.mark.filterwarnings("ignore:There are still overlapping strides:UserWarning"),
    # gaitmap_mad opens its template with a function that Python 3.11 deprecates.
    pytest.mark.filterwarnings("ignore:open_text is deprecated:DeprecationWarning"),
]

MAX_COST = 5.0
RATE_HZ = 204.8
DURATION_S = 90


def drawn_gait(vigour: float, rng: np.random.Generator) -> GaitParameters:
    """A gait between the 5th (``vigour`` 0) and 95th percentile (1) of the register, each figure shifted a little."""

    def mean(low: float, high: float) -> float:
        return low + (high - low) * float(np.clip(vigour + rng.uniform(-0.15, 0.15), 0, 1))

    load, push, swing = mean(6.5, 14.6), mean(13.6, 21.8), mean(21.6, 33.0)
    return GaitParameters(
        stride_time_s=Figure(mean(1.66, 1.0), mean(0.19, 0.044)),
        load_percent=Figure(load, 1.6),
        foot_flat_percent=Figure(100 - load - push - swing, 4.0),
        push_percent=Figure(push, 1.8),
        swing_percent=Figure(swing, 2.3),
        toe_off_angle_deg=Figure(-mean(31, 75), 5.7),
        heel_strike_angle_deg=Figure(mean(4, 27), 2.6),
        stride_length_m=Figure(mean(0.49, 1.36), 0.1),
        clearance_m=Figure(mean(0.046, 0.25), 0.03),
    )


def registered_gaits(n: int) -> list[GaitParameters]:
    """``n`` people of the real register, evenly spaced by stride length from the shortest to the longest."""
    with shared("gstride/Database_register.csv").open(encoding="cp1252", newline="") as file:
        people = list(csv.reader(file, delimiter=";"))[3:]
    columns = (34, 36, 38, 40, 42, 44, 46, 52, 58)

    def gait(row: list[str]) -> GaitParameters:
        numbers = [float(cell.replace(",", ".")) for c in columns for cell in (row[c], row[c + 1])]
        return GaitParameters(*(Figure(*pair) for pair in zip(numbers[::2], numbers[1::2], strict=True)))

    gaits = sorted((gait(row) for row in people), key=lambda g: g.stride_length_m.mean)
    return [gaits[round(i)] for i in np.linspace(0, len(gaits) - 1, n)]


def judge(gait: GaitParameters, seed: int) -> tuple[float, float, float]:
    """Share of the walking strides found; median ratios of measured to true stride length and stride time."""
    import pandas as pd
    from gaitmap.event_detection import RamppEventDetection
    from gaitmap.parameters import SpatialParameterCalculation, TemporalParameterCalculation
    from gaitmap.stride_segmentation import BarthDtw
    from gaitmap.trajectory_reconstruction import StrideLevelTrajectory
    from gaitmap.utils.coordinate_conversion import convert_left_foot_to_fbf, convert_right_foot_to_fbf

    samples, strides = walk_with_truth(gait, duration_s=DURATION_S, rate_hz=RATE_HZ, seed=seed)
    side = Walker(gait, rate_hz=RATE_HZ, seed=seed).side
    sensor = np.concatenate([samples[:, ACC], np.rad2deg(samples[:, GYR])], axis=1).astype(float)
    # Any use of a gyroscope begins so: what it shows while the foot stands at first is its bias.
    standing = round(next(s.end_s for s, after in itertools.pairwise(strides) if after.kind == "walking") * RATE_HZ)
    sensor[:, GYR] -= sensor[:standing, GYR].mean(axis=0)
    # gaitmap's sensor frame is this project's foot frame; its body frame differs by foot.
    frame = pd.DataFrame(sensor, columns=list(CHANNELS))
    body = (convert_left_foot_to_fbf if side == "left" else convert_right_foot_to_fbf)(frame)
    found = BarthDtw(max_cost=MAX_COST).segment(data=body, sampling_rate_hz=RATE_HZ).stride_list_
    walking = [s for s in strides if s.kind == "walking" and s.end_s < DURATION_S - 1]

    def is_found(stride: Stride) -> bool:
        middle = (stride.toe_off_s + stride.heel_strike_s) / 2 * RATE_HZ
        return bool(((found["start"] < middle) & (middle < found["end"])).any())

    events = RamppEventDetection().detect(data=body, stride_list=found, sampling_rate_hz=RATE_HZ).min_vel_event_list_
    path = StrideLevelTrajectory().estimate(data=frame, stride_event_list=events, sampling_rate_hz=RATE_HZ)
    lengths = SpatialParameterCalculation().calculate(
        positions=path.position_,
        orientations=path.orientation_,
        stride_event_list=events,
        sampling_rate_hz=RATE_HZ,
    )
    times = TemporalParameterCalculation().calculate(stride_event_list=events, sampling_rate_hz=RATE_HZ)
    length_ratios, time_ratios = [], []
    for identity, event in events.iterrows():
        inside = [
            (a, b)
            for a, b in itertools.pairwise(strides)
            if a.kind == b.kind == "walking" and event["pre_ic"] < a.end_s * RATE_HZ < event["start"]
        ]
        within = [s for s in walking if event["start"] < s.toe_off_s * RATE_HZ < event["end"]]
        if len(within) == 1:
            length_ratios.append(lengths.parameters_.loc[identity, "stride_length"] / within[0].length_m)
        if len(inside) == 1:
            # gaitmap counts a stride's time from heel strike to heel strike.
            before, now = inside[0]
            true_s = now.heel_strike_s - before.heel_strike_s
            time_ratios.append(times.parameters_.loc[identity, "stride_time"] / true_s)
    assert min(len(length_ratios), len(time_ratios)) > 0.5 * len(walking)
    found_share = sum(map(is_found, walking)) / len(walking)
    return found_share, float(np.median(length_ratios)), float(np.median(time_ratios))


def assert_measured_right(gaits: list[GaitParameters]) -> None:
    results = np.array([judge(gait, seed) for seed, gait in enumerate(gaits)])
    for seed, (share, length_ratio, time_ratio) in enumerate(results):
        print(f"walker {seed}: found {share:.3f}, stride length x {length_ratio:.3f}, stride time x {time_ratio:.3f}")
    print(f"mean share found {results[:, 0].mean():.4f}, worst {results[:, 0].min():.3f}")
    assert results[:, 0].mean() >= 0.95
    assert np.abs(results[:, 1] - 1).max() < 0.05
    assert np.abs(results[:, 2] - 1).max() < 0.05


@pytest.mark.soak
def test_twenty_walkers_over_the_register_s_range_are_found_and_measured_within_5_percent() -> None:
    rng = np.random.default_rng(0)
    assert_measured_right([drawn_gait(vigour, rng) for vigour in np.linspace(0, 1, 20)])


@pytest.mark.parametrize("n_people", [8, pytest.param(20, marks=pytest.mark.soak)])
def test_people_of_the_real_register_are_found_and_measured_within_5_percent(n_people: int) -> None:
    assert_measured_right(registered_gaits(n_people))
