"""Attitudes are the turns one after the other, and a way walked in any attitude is found again."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.stream.zero_velocity import attitudes, displacement_m
from firmware_bridge.channels import STANDARD_GRAVITY_M_S2

RATE_HZ = 104.0


@given(st.integers(0, 40), st.integers(0, 1000))
def test_attitudes_are_the_turns_one_after_the_other(n: int, seed: int) -> None:
    turns = np.random.default_rng(seed).normal(0.0, 0.2, (n, 3))
    found = attitudes(turns)
    assert found.shape == (n + 1, 3, 3)
    np.testing.assert_array_equal(found[0], np.eye(3))
    for k, turn in enumerate(turns):
        np.testing.assert_allclose(found[k + 1], found[k] @ attitudes(turn[None])[1], atol=1e-12)
    np.testing.assert_allclose(found @ found.transpose(0, 2, 1), np.broadcast_to(np.eye(3), found.shape), atol=1e-12)


def test_a_turn_is_that_about_its_axis() -> None:
    np.testing.assert_allclose(
        attitudes(np.array([[0.0, 0.0, np.pi / 2]]))[1] @ [1.0, 0.0, 0.0], [0.0, 1.0, 0.0], atol=1e-12
    )
    np.testing.assert_array_equal(attitudes(np.zeros((1, 3)))[1], np.eye(3))


@pytest.mark.parametrize("drift_rad_s", [0.0, 0.03])
def test_a_way_is_found_whatever_the_first_attitude_and_with_a_gyroscope_that_drifts(drift_rad_s: float) -> None:
    """A metre ahead and 0.2 m up within a second, while the foot turns to and fro about the axis across."""
    time_s = np.arange(round(RATE_HZ) + 1) / RATE_HZ
    # The second derivative of s - sin(2 pi s) / (2 pi), which goes from 0 to 1 at rest.
    push = 2 * np.pi * np.sin(2 * np.pi * time_s)
    world = push[:, None] * [1.0, 0.0, 0.2] + [0.0, 0.0, STANDARD_GRAVITY_M_S2]
    pitch_rad_s = 3.0 * np.sin(2 * np.pi * time_s)
    between = np.zeros((len(time_s) - 1, 3))
    between[:, 1] = 0.5 * (pitch_rad_s[1:] + pitch_rad_s[:-1]) / RATE_HZ
    force = np.einsum("nji,nj->ni", attitudes(between), world)
    worn = attitudes(np.array([[0.4, -1.1, 2.0]]))[1]
    between[:, 1] += drift_rad_s / RATE_HZ
    force, turns = force @ worn.T, between @ worn.T
    level_m, rise_m = displacement_m(force, attitudes(turns), force[0], force[-1], RATE_HZ)
    assert level_m == pytest.approx(1.0, abs=0.03)
    assert rise_m == pytest.approx(0.2, abs=0.03)
