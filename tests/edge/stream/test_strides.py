"""Strides against the virtual walker's own truth, and against steps that people labelled by hand (Truong et al.)."""

import csv
import json
import pickle
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge.sources.register import read_register
from edge.stream.strides import MAX_STRIDE_S, MIN_STRIDE_S, Stride, StrideDetector
from edge.stream.swings import quantile
from firmware_bridge.channels import STANDARD_GRAVITY_M_S2, Samples
from firmware_bridge.walker import Figure, GaitParameters, walk_with_truth
from firmware_bridge.walker import Stride as TrueStride
from tests.shared_data import shared

RATE_HZ = 104.0
TURNED_ROUND = np.array([-1, -1, 1, -1, -1, 1], dtype=np.float32)


def gait(vigour: float) -> GaitParameters:
    """Between the frailest (0) and the briskest (1) of the register, in what a stride is made of."""

    def between(low: float, high: float) -> float:
        return low + (high - low) * vigour

    load, push, swing = between(6.5, 14.6), between(13.6, 21.8), between(21.6, 33.0)
    return GaitParameters(
        stride_time_s=Figure(between(2.2, 0.95), between(0.25, 0.03)),
        load_percent=Figure(load, 1.5),
        foot_flat_percent=Figure(100 - load - push - swing, 4.0),
        push_percent=Figure(push, 1.8),
        swing_percent=Figure(swing, 2.3),
        toe_off_angle_deg=Figure(-between(22, 80), 5.7),
        heel_strike_angle_deg=Figure(between(2, 32), 2.0),
        stride_length_m=Figure(between(0.32, 1.5), between(0.06, 0.1)),
        clearance_m=Figure(between(0.04, 0.25), 0.02),
    )


@lru_cache(maxsize=8)
def walked(vigour: float, seed: int = 3, duration_s: float = 70.0) -> tuple[Samples, tuple[TrueStride, ...]]:
    return walk_with_truth(gait(vigour), duration_s=duration_s, rate_hz=RATE_HZ, seed=seed)


def detect(samples: Samples, *, gravity: bool = True, rate_hz: float = RATE_HZ) -> list[Stride]:
    detector = StrideDetector(rate_hz, gravity_included=gravity)
    return detector.push(samples) + detector.finish()


def swing_sign(detector: StrideDetector) -> int:
    """Of the medio-lateral rate in swing: -1 in the foot frame, 1 back to front, 0 not settled yet."""
    return detector._selector.sign


@dataclass(frozen=True, slots=True)
class Walked:
    """How well a virtual walk was measured: medians over its strides, errors relative, swing in shares of a stride."""

    n_missed: int
    time_error: float
    length_error: float
    speed_error: float
    swing_difference: float


def measured(samples: Samples, truth: Sequence[TrueStride]) -> Walked:
    """Each stride found must be one of those walked, and none twice; length and speed are judged outside turns."""
    steps = [s for s in truth if s.kind != "standing"]
    strikes = np.array([s.heel_strike_s for s in steps])
    pairs = []
    for stride in detect(samples):
        k = int(np.argmin(np.abs(strikes - stride.stop_index / RATE_HZ)))
        assert abs(strikes[k] - stride.stop_index / RATE_HZ) < 0.15
        assert k > 0
        pairs.append((stride, steps[k], strikes[k] - strikes[k - 1]))
    assert len({id(step) for _, step, _ in pairs}) == len(pairs)

    def error(ratios: list[float]) -> float:
        return float(np.median(np.abs(np.array(ratios) - 1)))

    straight = [(s, step, time_s) for s, step, time_s in pairs if step.kind == "walking" and s.stride_length_m]
    assert len(straight) > 0.9 * sum(step.kind == "walking" for _, step, _ in pairs)
    return Walked(
        len(steps) - len(pairs),
        error([s.stride_time_s / time_s for s, _, time_s in pairs]),
        error([(s.stride_length_m or 0.0) / step.length_m for s, step, _ in straight]),
        error([(s.gait_speed_m_s or 0.0) / (step.length_m / time_s) for s, step, time_s in straight]),
        float(
            np.median([s.swing_share for s, _, _ in straight])
            - np.median([(step.heel_strike_s - step.toe_off_s) / time_s for _, step, time_s in straight])
        ),
    )


@pytest.mark.parametrize("vigour", [0.0, 0.25, 0.5, 0.75, 1.0])
def test_frail_to_brisk_walkers_are_measured_as_they_walk(vigour: float) -> None:
    samples, truth = walked(vigour)
    walk = measured(samples, truth)
    # The first step after standing is no stride, nor is the one that the end cuts.
    assert walk.n_missed <= 3 + sum(step.kind == "standing" for step in truth)
    assert walk.time_error < 0.01
    assert max(walk.length_error, walk.speed_error) < 0.03
    assert abs(walk.swing_difference) < 0.03


@given(st.lists(st.floats(0, 100), min_size=1, max_size=12), st.floats(0, 1))
def test_a_quantile_is_numpys(values: list[float], share: float) -> None:
    assert quantile(values, share) == pytest.approx(float(np.quantile(values, share)), abs=1e-9)


@pytest.mark.soak
def test_forty_people_of_the_real_register_are_measured_as_they_walk() -> None:
    people = read_register(shared("gstride/Database_register.csv"))
    gaits = sorted((p.gait for p in people if p.gait is not None), key=lambda g: g.stride_length_m.mean)
    walks = [
        measured(*walk_with_truth(gaits[round(k)], duration_s=90, rate_hz=RATE_HZ, seed=seed))
        for seed, k in enumerate(np.linspace(0, len(gaits) - 1, 40))
    ]
    names = ("time_error", "length_error", "speed_error", "swing_difference")
    for name in names:
        values = np.array([getattr(walk, name) for walk in walks])
        print(f"\n{name}: median {100 * np.median(values):.2f} %, worst {100 * values[np.abs(values).argmax()]:.2f} %")
        assert np.abs(values).max() < 0.03


@settings(max_examples=25)
@given(
    st.lists(st.integers(0, 40 * 104), max_size=200), st.booleans(), st.sampled_from([0.1, 0.9]), st.integers(100, 4000)
)
def test_however_the_stream_is_cut_the_strides_are_the_same_bit_for_bit(
    cuts: list[int], gravity: bool, vigour: float, length: int
) -> None:
    samples = walked(vigour)[0][:length]
    detector = StrideDetector(RATE_HZ, gravity_included=gravity)
    found: list[Stride] = []
    for piece in np.split(samples, sorted(cut for cut in cuts if cut < length)):
        found += detector.push(piece)
    assert found + detector.finish() == detect(samples, gravity=gravity)


def test_a_stream_sample_by_sample_gives_what_the_batch_gives() -> None:
    samples = walked(0.6)[0][:4000]
    detector = StrideDetector(RATE_HZ, gravity_included=True)
    found = [stride for k in range(len(samples)) for stride in detector.push(samples[k : k + 1])]
    assert found + detector.finish() == detect(samples)
    assert len(found) > 20


def test_a_sensor_the_other_way_round_gives_the_same_strides_and_says_so() -> None:
    samples = walked(0.4)[0]
    plain, turned = (StrideDetector(RATE_HZ, gravity_included=True) for _ in range(2))
    expected = plain.push(samples) + plain.finish()
    found = turned.push(samples * TURNED_ROUND) + turned.finish()
    assert [(s.start_index, s.stop_index) for s in found] == [(s.start_index, s.stop_index) for s in expected]
    assert (swing_sign(plain), swing_sign(turned)) == (-1, 1)


def test_the_sign_outlives_a_gap_and_turns_only_when_the_gait_contradicts_it() -> None:
    samples = walked(0.7)[0]
    detector = StrideDetector(RATE_HZ, gravity_included=True)
    for _ in range(2):
        detector.push(samples)
        detector.finish()
        assert swing_sign(detector) == -1
    signs = []
    turned = samples * TURNED_ROUND
    for first in range(0, len(turned), 104):
        detector.push(turned[first : first + 104])
        signs.append(swing_sign(detector))
    assert signs[0] == -1
    assert signs[-1] == 1
    assert np.count_nonzero(np.diff(signs)) == 1


def test_a_stride_is_out_soon_after_the_foot_came_down_once_the_sign_is_settled() -> None:
    samples = walked(0.5)[0]
    detector = StrideDetector(RATE_HZ, gravity_included=True)
    settled_at = None
    waits = []
    for first in range(0, len(samples), 4):
        settled = swing_sign(detector) != 0
        strides = detector.push(samples[first : first + 4])
        waits += [(first + 4 - stride.stop_index) / RATE_HZ for stride in strides if settled]
        if settled and settled_at is None:
            settled_at = first / RATE_HZ
    assert len(waits) > 20
    assert max(waits) < 1.0
    # The walker stands for up to 6 s; three strides of 1.6 s and what they wait follow.
    assert settled_at is not None
    assert settled_at < 6 + 4 * 1.6 + 1


def test_memory_does_not_grow_with_the_walk() -> None:
    samples = walked(0.5)[0]
    detector = StrideDetector(RATE_HZ, gravity_included=True)
    detector.push(samples)
    after_one = len(pickle.dumps(detector))
    for _ in range(5):
        detector.push(samples)
    assert len(pickle.dumps(detector)) < 1.05 * after_one


def test_a_standing_foot_and_a_noisy_one_make_no_strides() -> None:
    rng = np.random.default_rng(5)
    still = np.zeros((3000, 6), np.float32)
    still[:, 2] = STANDARD_GRAVITY_M_S2
    assert detect(still) == []
    assert detect((still + 0.05 * rng.standard_normal(still.shape)).astype(np.float32)) == []


def test_a_stretch_shorter_than_a_block_or_empty_is_no_trouble() -> None:
    assert detect(np.zeros((0, 6), np.float32)) == []
    assert detect(np.zeros((3, 6), np.float32)) == []


def test_where_gravity_is_removed_no_length_is_claimed() -> None:
    strides = detect(walked(0.5)[0], gravity=False)
    assert len(strides) > 20
    assert all(s.stride_length_m is None and s.gait_speed_m_s is None for s in strides)
    assert all(s.stance_share + s.swing_share == pytest.approx(1) for s in strides)


# ---- Real people: feet of Truong et al., whose steps are labelled by hand


@dataclass(frozen=True, slots=True)
class Foot:
    """One foot of a trial: ``(n, 6)`` samples and the intervals ``(k, 2)`` in which it moves."""

    group: str
    samples: Samples
    moves: NDArray[np.int64]
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class Judged:
    """Strides of one foot against its steps; errors are relative."""

    group: str
    n_true: int
    n_found: int
    n_right: int
    time_error: float
    median_time_error: float
    cadence_error: float
    swing_sign: int


def feet(every: int) -> Iterator[Foot]:
    folder = shared("truong")
    steps = json.loads((folder / "steps.json").read_text())
    scale = np.array([*[STANDARD_GRAVITY_M_S2 / 1000] * 3, *[np.deg2rad(0.1)] * 3])
    with (folder / "trials.csv").open(newline="") as file, np.load(folder / "signals.npz") as signals:
        for row in list(csv.DictReader(file))[::every]:
            both = signals[row["trial"]].astype(np.float64)
            for k, side in enumerate(("left", "right")):
                yield Foot(
                    row["group"],
                    (both[:, 6 * k : 6 * k + 6] * scale).astype(np.float32),
                    np.array(steps[row["trial"]][side]),
                    int(row["walk_start"]),
                    int(row["walk_end"]),
                )


def judge(foot: Foot) -> Judged:
    """A stride is right where both its contacts lie in consecutive steps, or up to 0.1 s after them."""
    detector = StrideDetector(100.0, gravity_included=False)
    found = detector.push(foot.samples) + detector.finish()
    strides = [stride for stride in found if foot.start <= stride.start_index < foot.stop]
    times = np.array([s.stride_time_s for s in strides])
    # From the start of a step to the next: where a label begins is as good as where it ends, and this is the usual way.
    true = np.diff(foot.moves[:, 0]) / 100.0
    true = true[(true >= MIN_STRIDE_S) & (true <= MAX_STRIDE_S)]

    def step_of(index: int) -> int:
        inside = np.flatnonzero((foot.moves[:, 0] <= index) & (index <= foot.moves[:, 1] + 10))
        return int(inside[-1]) if len(inside) else -9

    right = sum(step_of(s.start_index) + 1 == step_of(s.stop_index) for s in strides)
    if not len(times):
        return Judged(foot.group, len(true), 0, 0, 1.0, 1.0, 1.0, swing_sign(detector))
    return Judged(
        foot.group,
        len(true),
        len(times),
        right,
        abs(times.mean() / true.mean() - 1),
        abs(float(np.median(times) / np.median(true)) - 1),
        abs((60 / times).mean() / (60 / true).mean() - 1),
        swing_sign(detector),
    )


def table(judged: list[Judged]) -> str:
    lines = [
        "| group | feet | stride time (90 %) | its median | cadence (90 %) | found | of these right | sign missed |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for group in ("Healthy", "Orthopedic", "Neurological", "all"):
        own = [j for j in judged if group in (j.group, "all")]
        time, middle, cadence = (
            100 * np.array([[j.time_error, j.median_time_error, j.cadence_error] for j in own]).T[k] for k in range(3)
        )
        lines.append(
            f"| {group} | {len(own)} | {np.median(time):.1f} % ({np.percentile(time, 90):.1f} %) "
            f"| {np.median(middle):.1f} % | {np.median(cadence):.1f} % ({np.percentile(cadence, 90):.1f} %) "
            f"| {100 * sum(j.n_right for j in own) / sum(j.n_true for j in own):.1f} % "
            f"| {100 * sum(j.n_right for j in own) / sum(j.n_found for j in own):.1f} % "
            f"| {sum(j.swing_sign != 1 for j in own)} |"
        )
    return "\n".join(lines)


def assert_within_3_percent(judged: list[Judged]) -> None:
    print("\n" + table(judged))
    # Every foot of this set wears its sensor the same way round, y to the right: swing turns it positively.
    assert sum(j.swing_sign == 1 for j in judged) >= 0.995 * len(judged)
    for group in {j.group for j in judged}:
        own = [j for j in judged if j.group == group]
        assert np.median([j.time_error for j in own]) <= 0.03
        assert np.median([j.median_time_error for j in own]) <= 0.03
        assert np.median([j.cadence_error for j in own]) <= 0.03
        assert sum(j.n_right for j in own) >= 0.9 * sum(j.n_true for j in own)
        assert sum(j.n_right for j in own) >= 0.95 * sum(j.n_found for j in own)


def test_stride_time_and_cadence_of_some_real_people_are_within_3_percent_in_each_group() -> None:
    assert_within_3_percent([judge(foot) for foot in feet(every=31)])


@pytest.mark.soak
def test_stride_time_and_cadence_of_all_840_trials_are_within_3_percent_in_each_group() -> None:
    assert_within_3_percent([judge(foot) for foot in feet(every=1)])
