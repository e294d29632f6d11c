import dataclasses
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from firmware_bridge.channels import ACC, GYR, STANDARD_GRAVITY_M_S2
from firmware_bridge.gait import Figure, GaitParameters, Person
from firmware_bridge.imu import Imu, ImuModel
from firmware_bridge.trajectory import Motion, Stride, move
from firmware_bridge.walker import Walker, walk, walk_with_truth

ROBUST = GaitParameters(
    stride_time_s=Figure(1.15, 0.05),
    load_percent=Figure(12.0, 1.6),
    foot_flat_percent=Figure(39.0, 3.5),
    push_percent=Figure(19.0, 1.8),
    swing_percent=Figure(30.0, 2.0),
    toe_off_angle_deg=Figure(-60.0, 5.0),
    heel_strike_angle_deg=Figure(18.0, 2.7),
    stride_length_m=Figure(1.06, 0.08),
    clearance_m=Figure(0.15, 0.03),
)
FRAIL = GaitParameters(
    stride_time_s=Figure(1.4, 0.12),
    load_percent=Figure(8.0, 1.5),
    foot_flat_percent=Figure(53.0, 5.0),
    push_percent=Figure(16.0, 2.0),
    swing_percent=Figure(23.0, 3.0),
    toe_off_angle_deg=Figure(-36.0, 5.0),
    heel_strike_angle_deg=Figure(7.0, 1.7),
    stride_length_m=Figure(0.55, 0.08),
    clearance_m=Figure(0.08, 0.02),
)
IDEAL = ImuModel(
    acc_noise_m_s2_rt_hz=0,
    gyr_noise_rad_s_rt_hz=0,
    acc_bias_m_s2=0,
    gyr_bias_rad_s=0,
    acc_bias_drift_m_s2=0,
    gyr_bias_drift_rad_s=0,
    gain_error=0,
    misalignment_rad=0,
)


def figures(low: float, high: float, deviation: float) -> st.SearchStrategy[Figure]:
    return st.builds(Figure, st.floats(low, high), st.floats(0, deviation))


gaits = st.builds(
    GaitParameters,
    stride_time_s=figures(0.9, 2.5, 0.5),
    load_percent=figures(0.7, 17, 3.2),
    foot_flat_percent=figures(26, 70, 12),
    push_percent=figures(8, 27, 5.6),
    swing_percent=figures(8, 35, 5.3),
    toe_off_angle_deg=figures(-84, -19, 9.6),
    heel_strike_angle_deg=figures(0, 38, 6.1),
    stride_length_m=figures(0.29, 1.53, 0.21),
    clearance_m=figures(0.02, 0.66, 0.19),
)


def motion_of(gait: GaitParameters, seed: int, turn_rad: float = 0.0, rate_hz: float = 1000.0) -> tuple[Stride, Motion]:
    """One stride with its jolts and a swaying sensor, finely sampled."""
    person = Person(np.random.default_rng(seed), np.random.default_rng(seed + 1))
    stride = person.stride(gait, 3.0, turn_rad=turn_rad)
    t = np.linspace(stride.start_s, stride.end_s, round((stride.end_s - stride.start_s) * rate_hz))
    return stride, move(stride, t, sway=person.sway(t), impacts=person.jolts(stride))


def rotations(yaw_pitch_roll: NDArray[np.float64]) -> NDArray[np.float64]:
    """``(n, 3, 3)`` from foot to world, by plain products of single turns."""
    matrices = []
    for yaw, pitch, roll in yaw_pitch_roll:
        about_z = np.array([[np.cos(yaw), -np.sin(yaw), 0], [np.sin(yaw), np.cos(yaw), 0], [0, 0, 1]])
        about_y = np.array([[np.cos(pitch), 0, np.sin(pitch)], [0, 1, 0], [-np.sin(pitch), 0, np.cos(pitch)]])
        about_x = np.array([[1, 0, 0], [0, np.cos(roll), -np.sin(roll)], [0, np.sin(roll), np.cos(roll)]])
        matrices.append(about_z @ about_y @ about_x)
    return np.array(matrices)


@settings(max_examples=25)
@given(gaits, st.integers(0, 1000), st.sampled_from([0.0, 0.8, -1.0]))
def test_acceleration_integrated_twice_gives_back_the_path(gait: GaitParameters, seed: int, turn_rad: float) -> None:
    stride, motion = motion_of(gait, seed, turn_rad)
    step_s = (stride.end_s - stride.start_s) / (len(motion.acc_m_s2) - 1)
    world = np.einsum("nij,nj->ni", rotations(motion.yaw_pitch_roll_rad), motion.acc_m_s2)
    world[:, 2] -= STANDARD_GRAVITY_M_S2
    velocity = np.cumsum((world[1:] + world[:-1]) / 2, axis=0) * step_s
    path = np.cumsum(velocity, axis=0) * step_s
    assert np.abs(path - (motion.position_m[1:] - motion.position_m[0])).max() < 0.01


@settings(max_examples=15)
@given(gaits, st.integers(0, 1000), st.sampled_from([0.0, 0.8]))
def test_angular_rate_integrated_gives_back_the_attitude(gait: GaitParameters, seed: int, turn_rad: float) -> None:
    stride, motion = motion_of(gait, seed, turn_rad)
    step_s = (stride.end_s - stride.start_s) / (len(motion.gyr_rad_s) - 1)
    truth = rotations(motion.yaw_pitch_roll_rad)
    attitude = truth[0]
    for rate in (motion.gyr_rad_s[1:] + motion.gyr_rad_s[:-1]) / 2:
        angle = float(np.linalg.norm(rate)) * step_s
        x, y, z = rate * step_s / max(angle, 1e-12)
        cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
        attitude = attitude @ (np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross)
    assert np.abs(attitude - truth[-1]).max() < 0.01


@settings(max_examples=40)
@given(gaits, st.integers(0, 1000))
def test_a_stride_has_the_drawn_length_clearance_and_pitch(gait: GaitParameters, seed: int) -> None:
    person = Person(np.random.default_rng(seed), np.random.default_rng(seed))
    stride = person.stride(gait, 0.0)
    t = np.linspace(stride.start_s, stride.end_s, 2000)
    still = (np.zeros_like(t),) * 3
    motion = move(stride, t, sway=(still, still, still))
    pitch = motion.yaw_pitch_roll_rad[:, 1]
    assert np.hypot(*(motion.position_m[-1] - motion.position_m[0])[:2]) == pytest.approx(stride.length_m, abs=1e-9)
    assert np.interp(stride.toe_off_s, t, pitch) == pytest.approx(stride.toe_off_pitch_rad, abs=0.01)
    assert np.interp(stride.heel_strike_s, t, pitch) == pytest.approx(stride.heel_strike_pitch_rad, abs=0.01)
    # The least lift of 1 cm and the shortest lever let a very low swing rise higher than drawn, never lower by much.
    rise = motion.position_m[:, 2].max() - motion.position_m[0, 2]
    assert rise > 0.8 * stride.clearance_m
    assert stride.start_s < stride.heel_off_s < stride.toe_off_s < stride.heel_strike_s < stride.end_s


@settings(max_examples=15)
@given(gaits, st.integers(0, 1000), st.floats(40, 500))
def test_every_gait_of_the_register_s_range_stays_physical(gait: GaitParameters, seed: int, rate_hz: float) -> None:
    samples = walk(gait, duration_s=15, rate_hz=rate_hz, seed=seed)
    assert samples.dtype == np.float32
    assert np.isfinite(samples).all()
    assert np.percentile(np.linalg.norm(samples[:, ACC], axis=1), 99) < 12 * STANDARD_GRAVITY_M_S2
    assert np.abs(samples[:, GYR]).max() < np.deg2rad(1900)


def test_a_jolt_leaves_no_velocity_behind() -> None:
    person = Person(np.random.default_rng(1), np.random.default_rng(2))
    jolts = person.jolts(person.stride(ROBUST, 0.0))
    standing = Stride("standing", 0.0, 3.0, 3.0, 3.0, 3.0)
    t = np.linspace(0, 3, 6001)
    still = (np.zeros_like(t),) * 3
    motion = move(standing, t, sway=(still, still, still), impacts=jolts)
    world = np.einsum("nij,nj->ni", rotations(motion.yaw_pitch_roll_rad), motion.acc_m_s2)
    velocity = np.cumsum(world - [0, 0, STANDARD_GRAVITY_M_S2], axis=0) * 0.0005
    assert np.abs(velocity).max() > 0.05
    assert np.abs(velocity[-1]).max() < 1e-3
    assert np.abs(motion.position_m[-1] - motion.position_m[0]).max() < 1e-9


def test_standing_feels_gravity_up_and_almost_no_rate() -> None:
    samples, strides = walk_with_truth(ROBUST, duration_s=10, rate_hz=104, seed=3)
    stop = round(104 * next(s.start_s for s in strides if s.kind == "walking"))
    assert stop > 250
    assert np.abs(samples[:stop, ACC].mean(axis=0) - [0, 0, STANDARD_GRAVITY_M_S2]).max() < 0.5
    assert np.rad2deg(np.abs(samples[:stop, GYR])).max() < 5


def test_push_turns_the_toe_down_and_swing_brings_it_up() -> None:
    samples, strides = walk_with_truth(ROBUST, duration_s=30, rate_hz=200, seed=4, imu=IDEAL)
    walking = [s for s in strides if s.kind == "walking" and s.end_s < 30]
    assert len(walking) > 10
    for stride in walking:
        push = samples[round(200 * stride.heel_off_s) : round(200 * stride.toe_off_s) - 2, 4]
        swing = samples[round(200 * stride.toe_off_s) + 5 : round(200 * stride.heel_strike_s) - 5, 4]
        assert push.mean() > 1
        assert swing.mean() < -1


def test_swing_peaks_lie_where_walking_feet_have_them() -> None:
    for gait, low, high in ((ROBUST, 300, 700), (FRAIL, 150, 500)):
        samples, strides = walk_with_truth(gait, duration_s=120, rate_hz=104, seed=5)
        rate = np.rad2deg(np.abs(samples[:, 4]))
        peaks = [
            rate[round(104 * s.heel_off_s) : round(104 * s.heel_strike_s)].max()
            for s in strides
            if s.kind == "walking" and s.end_s < 120
        ]
        assert low < np.median(peaks) < high


def test_strides_vary_as_the_parameters_say() -> None:
    person = Person(np.random.default_rng(6), np.random.default_rng(7))
    walking = [person.stride(ROBUST, 0.0) for _ in range(1500)]
    times = np.array([s.end_s - s.start_s for s in walking])
    lengths = np.array([s.length_m for s in walking])
    swings = np.array([100 * (s.heel_strike_s - s.toe_off_s) / (s.end_s - s.start_s) for s in walking])
    for values, figure in (
        (times, ROBUST.stride_time_s),
        (lengths, ROBUST.stride_length_m),
        (swings, ROBUST.swing_percent),
    ):
        assert values.mean() == pytest.approx(figure.mean, abs=0.3 * figure.std)
        assert values.std() == pytest.approx(figure.std, rel=0.2)


def test_every_turn_makes_a_half_circle_and_the_walkway_lies_between_them() -> None:
    _, strides = walk_with_truth(FRAIL, duration_s=400, rate_hz=50, seed=7, walkway_m=12)
    turned, walked, legs = 0.0, 0.0, []
    for before, stride in itertools.pairwise(strides):
        if stride.kind == "turning":
            turned += stride.turn_rad
        elif before.kind == "turning":
            assert abs(turned) == pytest.approx(np.pi)
            turned = 0.0
        if stride.kind == "walking":
            walked += stride.length_m
        elif stride.kind == "turning" and walked:
            legs.append(walked)
            walked = 0.0
    assert len(legs) >= 4
    assert all(12 <= leg < 13 for leg in legs)


def test_strides_follow_each_other_without_a_gap() -> None:
    _, strides = walk_with_truth(FRAIL, duration_s=200, rate_hz=100, seed=8)
    assert strides[0].start_s == 0
    assert strides[0].kind == "standing"
    assert all(a.end_s == b.start_s for a, b in itertools.pairwise(strides))
    assert strides[-1].end_s >= 200


@settings(max_examples=40)
@given(gaits, st.integers(0, 1000), st.sampled_from([0.0, 0.8]))
def test_every_stride_begins_and_ends_at_rest_so_that_strides_join(
    gait: GaitParameters, seed: int, turn: float
) -> None:
    person = Person(np.random.default_rng(seed), np.random.default_rng(seed))
    stride = person.stride(gait, 0.0, turn_rad=turn)
    t = np.array([stride.start_s, stride.end_s])
    still = (np.zeros_like(t),) * 3
    motion = move(stride, t, sway=(still, still, still))
    assert np.abs(motion.acc_m_s2 - [0, 0, STANDARD_GRAVITY_M_S2]).max() < 1e-6
    assert np.abs(motion.gyr_rad_s).max() < 1e-6
    assert np.abs(motion.yaw_pitch_roll_rad - [[0, 0, 0], [turn, 0, 0]]).max() < 1e-9


@settings(max_examples=20)
@given(st.lists(st.integers(0, 700), min_size=1, max_size=12), st.integers(0, 100))
def test_the_size_of_the_calls_changes_nothing(sizes: list[int], seed: int) -> None:
    whole = Walker(FRAIL, rate_hz=104, seed=seed).advance(sum(sizes))
    pieces = Walker(FRAIL, rate_hz=104, seed=seed)
    assert np.concatenate([pieces.advance(n) for n in sizes]).tobytes() == whole.tobytes()


def test_equal_seeds_give_equal_walks_and_others_do_not() -> None:
    first, again, other = (walk(ROBUST, duration_s=20, rate_hz=104, seed=seed) for seed in (1, 1, 2))
    assert first.tobytes() == again.tobytes()
    assert np.abs(first - other).max() > 1


@pytest.mark.parametrize(("duration_s", "rate_hz"), [(20.0, 104.4), (0.3, 104.0), (7.7, 398.0), (0.0, 50.0)])
def test_the_truth_comes_with_the_same_samples(duration_s: float, rate_hz: float) -> None:
    samples, _ = walk_with_truth(ROBUST, duration_s=duration_s, rate_hz=rate_hz, seed=1)
    assert samples.shape == (round(duration_s * rate_hz), 6)
    assert samples.tobytes() == walk(ROBUST, duration_s=duration_s, rate_hz=rate_hz, seed=1).tobytes()


def test_a_change_of_parameters_holds_from_the_next_stride_on() -> None:
    walker = Walker(ROBUST, rate_hz=104, seed=10, walkway_m=10_000)
    walker.advance(104 * 30)
    running = walker.recent_strides[-1]
    walker.parameters = FRAIL
    walker.advance(104 * 60)
    before = [s.length_m for s in walker.recent_strides if s.kind == "walking" and s.start_s <= running.start_s]
    after = [s.length_m for s in walker.recent_strides if s.start_s > running.start_s]
    assert min(before[1:]) > 0.8 > max(after)


def test_an_endless_walk_keeps_a_bounded_memory_of_strides() -> None:
    walker = Walker(ROBUST, rate_hz=10, seed=11)
    for _ in range(60):
        walker.advance(100)
    assert walker.recent_strides[-1].end_s > 590
    assert len(walker.recent_strides) == walker.recent_strides.maxlen


def test_the_sensor_saturates_at_its_range() -> None:
    narrow = dataclasses.replace(IDEAL, acc_range_m_s2=2 * STANDARD_GRAVITY_M_S2, gyr_range_rad_s=np.deg2rad(250))
    samples = walk(ROBUST, duration_s=30, rate_hz=104, seed=12, imu=narrow)
    assert np.abs(samples[:, ACC]).max() == np.float32(2 * STANDARD_GRAVITY_M_S2)
    assert np.abs(samples[:, GYR]).max() == np.float32(np.deg2rad(250))


def test_noise_and_bias_have_the_modelled_size() -> None:
    model = dataclasses.replace(IDEAL, acc_noise_m_s2_rt_hz=0.01, gyr_noise_rad_s_rt_hz=0.002)
    noise = Imu(model, rate_hz=200, seed=1).measure(np.zeros((20_000, 6)))
    assert noise[:, ACC].std() == pytest.approx(0.1, rel=0.02)
    assert noise[:, GYR].std() == pytest.approx(0.02, rel=0.02)
    biased = dataclasses.replace(IDEAL, acc_bias_m_s2=0.5, gyr_bias_rad_s=0.05)
    offsets = np.array([Imu(biased, rate_hz=100, seed=seed).measure(np.zeros((1, 6)))[0] for seed in range(300)])
    assert offsets[:, ACC].std() == pytest.approx(0.5, rel=0.1)
    assert offsets[:, GYR].std() == pytest.approx(0.05, rel=0.1)


def test_a_crooked_sensor_turns_samples_and_keeps_their_length() -> None:
    crooked = dataclasses.replace(IDEAL, misalignment_rad=0.2)
    ideal = np.random.default_rng(0).standard_normal((50, 6))
    measured = Imu(crooked, rate_hz=100, seed=2).measure(ideal)
    assert np.abs(measured - ideal).max() > 0.1
    for part in (ACC, GYR):
        np.testing.assert_allclose(
            np.linalg.norm(measured[:, part], axis=1), np.linalg.norm(ideal[:, part], axis=1), rtol=1e-5
        )


@pytest.mark.parametrize(
    ("name", "figure"),
    [
        ("stride_time_s", Figure(0.1, 0)),
        ("toe_off_angle_deg", Figure(50, 1)),
        ("heel_strike_angle_deg", Figure(-5, 1)),
        ("stride_length_m", Figure(0, 0)),
        ("swing_percent", Figure(101, 0)),
    ],
)
def test_what_nobody_can_walk_is_refused_by_name(name: str, figure: Figure) -> None:
    with pytest.raises(ValueError, match=name):
        dataclasses.replace(ROBUST, **{name: figure})


@pytest.mark.parametrize(("mean", "std"), [(float("nan"), 0.0), (1.0, -0.1), (1.0, float("inf"))])
def test_a_figure_without_a_number_is_refused(mean: float, std: float) -> None:
    with pytest.raises(ValueError, match="finite mean"):
        Figure(mean, std)


def test_bad_rates_and_sensor_figures_are_refused() -> None:
    with pytest.raises(ValueError, match="rate_hz"):
        Walker(ROBUST, rate_hz=0, seed=0)
    with pytest.raises(ValueError, match="gain_error"):
        ImuModel(gain_error=-1)
    with pytest.raises(ValueError, match="acc_range_m_s2"):
        ImuModel(acc_range_m_s2=0)
