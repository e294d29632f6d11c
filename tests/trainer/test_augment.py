"""Augmented windows are such that a foot could have walked them: each change keeps what physics keeps."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge.sources.walkers import read_walker, walker_path
from firmware_bridge.channels import ACC, GYR, STANDARD_GRAVITY_M_S2, Samples
from firmware_bridge.walker import walk
from trainer.augment import MIRROR, augment, gravity_part, margin_samples, stretch
from trainer.train_config import AugmentConfig

RATE_HZ, WINDOW = 104.0, 200


def windows(margin: int = 0, n: int = 12) -> Samples:
    """Windows of a virtual walk with their surroundings, one every second; gravity included."""
    samples = walk(read_walker(walker_path("robust")), duration_s=20.0, rate_hz=RATE_HZ, seed=1)
    starts = 300 + 104 * np.arange(n)
    return samples[starts[:, np.newaxis] + np.arange(-margin, WINDOW + margin)].astype(np.float32)


def changed(raw: Samples, seed: int = 0, **config: float) -> Samples:
    return augment(
        raw, AugmentConfig(**config), np.random.default_rng(seed), window_samples=WINDOW, rate_hz=RATE_HZ,
        gravity="included",
    )  # fmt: skip


def test_nothing_asked_is_nothing_changed() -> None:
    raw = windows()
    np.testing.assert_array_equal(changed(raw), raw)
    assert margin_samples(AugmentConfig(), WINDOW) == 0


@given(seed=st.integers(0, 1000), rotation_deg=st.floats(0.1, 45))
@settings(max_examples=20)
def test_a_mounting_turns_both_sensors_alike_and_keeps_lengths_and_the_angle_between_them(
    seed: int, rotation_deg: float
) -> None:
    raw = windows(n=4)
    turned = changed(raw, seed, rotation_deg=rotation_deg)
    for part in (ACC, GYR):
        np.testing.assert_allclose(
            np.linalg.norm(turned[..., part], axis=2), np.linalg.norm(raw[..., part], axis=2), rtol=1e-4, atol=1e-4
        )
    along = (raw[..., ACC] * raw[..., GYR]).sum(axis=2)
    np.testing.assert_allclose((turned[..., ACC] * turned[..., GYR]).sum(axis=2), along, rtol=1e-3, atol=1e-2)
    # A mirror image would keep all that, too.
    volume, volume_before = (
        np.linalg.det(np.stack([w[:, 0, ACC], w[:, 50, ACC], w[:, 90, GYR]], axis=1).astype(np.float64))
        for w in (turned, raw)
    )
    np.testing.assert_allclose(volume, volume_before, rtol=1e-2, atol=0.5)
    assert not np.allclose(turned, raw, atol=1e-3)


def test_rotations_have_the_angles_that_are_asked_for() -> None:
    rest = np.zeros((4000, WINDOW, 6), np.float32)
    rest[..., 2] = STANDARD_GRAVITY_M_S2
    turned = changed(rest[:, :WINDOW], rotation_deg=5.0)[:, 0, ACC] / STANDARD_GRAVITY_M_S2
    # Of a turn about an axis at random, two thirds of its square tilt a given direction.
    tilt_deg = np.degrees(np.arccos(np.clip(turned[:, 2], -1, 1)))
    assert np.sqrt((tilt_deg**2).mean()) == pytest.approx(5.0 * np.sqrt(2 / 3), rel=0.05)


def test_mirrored_twice_is_the_same_foot_again_and_once_is_the_other() -> None:
    raw = windows()
    once = changed(raw, mirror=1.0)
    np.testing.assert_array_equal(changed(once, mirror=1.0), raw)
    np.testing.assert_array_equal(once[..., [0, 2, 4]], raw[..., [0, 2, 4]])
    np.testing.assert_array_equal(once[..., [1, 3, 5]], -raw[..., [1, 3, 5]])
    half = changed(np.repeat(raw, 100, axis=0), mirror=0.5)
    assert np.mean(np.all(half == np.repeat(raw, 100, axis=0), axis=(1, 2))) == pytest.approx(0.5, abs=0.05)


def test_a_mirrored_turn_is_the_turn_of_the_mirrored_foot() -> None:
    """d/dt of a direction fixed in space is -ω × direction; in the mirror that must hold for the mirrored ω."""
    rng = np.random.default_rng(0)
    direction, rate = rng.normal(size=(2, 3))
    flip = MIRROR[ACC].astype(np.float64)
    np.testing.assert_allclose(-np.cross(rate * MIRROR[GYR], direction * flip), -np.cross(rate, direction) * flip)


@pytest.mark.parametrize("factor", [0.8, 0.95, 1.0, 1.1, 1.3])
def test_a_stretch_keeps_the_angle_and_the_way_and_leaves_gravity(factor: float) -> None:
    """The same half second of movement, slower or faster: it must add up to the same angle and the same way."""
    margin, n = 100, WINDOW + 200
    t = (np.arange(n) - (n - 1) / 2) / RATE_HZ
    bump = np.exp(-0.5 * (t / 0.12) ** 2)
    wide = np.zeros((1, n, 6))
    wide[0, :, ACC] = bump[:, np.newaxis] * [3.0, -1.0, 2.0]
    wide[0, :, GYR] = bump[:, np.newaxis] * [0.5, 4.0, -1.0]
    assert margin == (n - WINDOW) // 2
    slow = stretch(
        wide.astype(np.float32), np.array([factor]), window_samples=WINDOW, rate_hz=RATE_HZ, gravity="removed"
    )
    np.testing.assert_allclose(slow[0, :, GYR].sum(axis=0), wide[0, :, GYR].sum(axis=0), rtol=1e-3)
    # Pushed with 1/f² for f times as long: the speed won is 1/f, and over f times the time the way is the same.
    np.testing.assert_allclose(slow[0, :, ACC].sum(axis=0) * factor, wide[0, :, ACC].sum(axis=0), rtol=1e-3)
    assert np.argmax(slow[0, :, 4]) == pytest.approx((WINDOW - 1) / 2, abs=1)


@given(tilt=st.tuples(*[st.floats(-1, 1)] * 3).filter(lambda v: np.linalg.norm(v) > 0.1), factor=st.floats(0.6, 1.7))
@settings(max_examples=25)
def test_a_foot_at_rest_feels_gravity_at_any_speed(tilt: tuple[float, float, float], factor: float) -> None:
    rest = np.zeros((1, WINDOW + 100, 6), np.float32)
    rest[..., ACC] = STANDARD_GRAVITY_M_S2 * np.array(tilt) / np.linalg.norm(tilt)
    found = stretch(rest, np.array([factor]), window_samples=WINDOW, rate_hz=RATE_HZ, gravity="included")
    np.testing.assert_allclose(found, rest[:, :WINDOW], atol=1e-4)


def test_gravity_is_told_from_movement_on_a_foot_that_turns_and_pushes() -> None:
    """A foot that pitches through a stride's angles and is pushed to and fro: its true gravity part is known here."""
    t = np.arange(400) / RATE_HZ
    angle = 0.6 * np.sin(2 * np.pi * t)
    gravity = np.stack([-np.sin(angle), np.zeros(400), np.cos(angle)], axis=1) * STANDARD_GRAVITY_M_S2
    wide = np.zeros((1, 400, 6))
    wide[0, :, ACC] = gravity + 6 * np.sin(4 * np.pi * t)[:, np.newaxis] * [1.0, 0.2, 0.5]
    wide[0, :, 4] = 0.6 * 2 * np.pi * np.cos(2 * np.pi * t)
    wrong = gravity_part(wide, RATE_HZ)[0] - gravity
    assert np.linalg.norm(wrong, axis=1).max() < 1.0
    # Left out of account, gravity would be off by the tilt of half a radian.
    assert np.linalg.norm(gravity - gravity[0], axis=1).max() > 5.0


def test_a_walk_stretched_keeps_its_cadence_times_the_factor() -> None:
    raw = windows(margin=100)
    slow = stretch(raw, np.full(len(raw), 1.25), window_samples=WINDOW, rate_hz=RATE_HZ, gravity="included")
    middle = raw[:, 100:-100]
    # The middle of the slow window is the middle of the other, four fifths as fast.
    at = (WINDOW - 1) / 2 + (np.arange(WINDOW) - (WINDOW - 1) / 2) / 1.25
    for window, before in zip(slow, middle, strict=True):
        by_hand = np.interp(at, np.arange(WINDOW), before[:, 4]) / 1.25
        np.testing.assert_allclose(window[:, 4], by_hand, atol=1e-4)


def test_gain_is_one_factor_a_sensor_and_bias_one_number_an_axis() -> None:
    raw = windows()
    factors = changed(raw, gain=0.1) / raw
    for part in (ACC, GYR):
        assert np.ptp(factors[..., part], axis=(1, 2)).max() < 1e-4
    assert np.abs(factors[:, 0, 0] - factors[:, 0, 3]).min() > 0
    assert factors.min() > 0
    shifts = changed(raw, acc_bias_m_s2=0.2) - raw
    assert np.ptp(shifts, axis=1).max() < 1e-4
    assert np.all(shifts[..., GYR] == 0)
    assert len(np.unique(shifts[:, 0, ACC])) == 3 * len(raw)


def test_noise_is_white_and_as_large_as_asked() -> None:
    raw = windows()
    noise = changed(raw, acc_noise_m_s2=0.3, gyr_noise_rad_s=0.05) - raw
    np.testing.assert_allclose(noise.reshape(-1, 6).std(axis=0), [0.3] * 3 + [0.05] * 3, rtol=0.1)
    neighbours: NDArray[np.float64] = (noise[:, 1:] * noise[:, :-1]).mean(axis=(0, 1)) / noise.var(axis=(0, 1))
    assert np.abs(neighbours).max() < 0.1


def test_everything_at_once_gives_windows_that_the_generator_alone_decides() -> None:
    config = AugmentConfig(
        rotation_deg=5.0,
        gain=0.05,
        acc_bias_m_s2=0.1,
        gyr_bias_rad_s=0.02,
        time_stretch=0.05,
        acc_noise_m_s2=0.1,
        gyr_noise_rad_s=0.02,
        mirror=0.5,
    )
    assert all(getattr(config, name) > 0 for name in config.__struct_fields__)
    raw = windows(margin_samples(config, WINDOW))
    first, again, other = (
        augment(
            raw, config, np.random.default_rng(seed), window_samples=WINDOW, rate_hz=RATE_HZ, gravity="included"
        )
        for seed in (1, 1, 2)
    )  # fmt: skip
    assert first.shape == (len(raw), WINDOW, 6)
    assert first.dtype == np.float32
    np.testing.assert_array_equal(first, again)
    assert not np.any(first == other)
    assert np.all(np.isfinite(first))
