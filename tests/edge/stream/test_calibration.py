"""A calibration asks for what is missing, ends by itself, and says the same however its stream was cut."""

import itertools
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.stream.calibration import RATE_HZ, Calibration, Step
from edge.stream.mounting import MIN_STRIDES, NO_GRAVITY, TOO_FEW_STRIDES, find_mounting
from firmware_bridge.channels import STANDARD_GRAVITY_M_S2, Samples
from firmware_bridge.walker import walk
from trainer.class_figures import draw_people

BACK_TO_FRONT = np.kron(np.eye(2), np.diag([-1.0, -1.0, 1.0])).astype(np.float32)


@cache
def one_walk(duration_s: float = 25.0) -> Samples:
    gait = draw_people(4, seed=5)[3].gait
    assert gait is not None
    return walk(gait, duration_s=duration_s, rate_hz=RATE_HZ, seed=3)


def pushed(samples: Samples, cuts: list[int] | None = None, rate_hz: float = RATE_HZ) -> Calibration:
    time_ns = np.rint(np.arange(len(samples)) * 1e9 / rate_hz).astype(np.int64)
    calibration = Calibration(rate_hz)
    for begin, end in itertools.pairwise(sorted({0, len(samples), *(cuts or [])})):
        calibration.push(time_ns[begin:end], samples[begin:end])
    return calibration


def test_it_asks_for_signal_standing_and_walking_in_this_order_and_ends_with_the_tenth_stride() -> None:
    samples = one_walk() @ BACK_TO_FRONT
    time_ns = np.rint(np.arange(len(samples)) * 1e9 / RATE_HZ).astype(np.int64)
    calibration = Calibration(RATE_HZ)
    steps, counts = [calibration.step], [0]
    for first in range(0, len(samples), 26):
        calibration.push(time_ns[first : first + 26], samples[first : first + 26])
        steps.append(calibration.step)
        counts.append(calibration.n_strides)
        if calibration.step is Step.DONE:
            break
    assert [step for step, _ in itertools.groupby(steps)] == list(Step)
    assert [count for count, _ in itertools.groupby(counts)] == list(range(MIN_STRIDES + 1))
    assert calibration.gravity_m_s2 is not None
    assert np.linalg.norm(calibration.gravity_m_s2) == pytest.approx(STANDARD_GRAVITY_M_S2, rel=0.03)
    assert (calibration.result.state, calibration.result.n_strides) == ("corrected", MIN_STRIDES)
    assert np.array_equal(calibration.result.rotation.round(), np.diag([-1, -1, 1]))


@settings(max_examples=8)
@given(cuts=st.lists(st.integers(0, 25 * 104), max_size=40))
def test_the_result_does_not_depend_on_how_the_stream_was_cut(cuts: list[int]) -> None:
    batch, stream = pushed(one_walk()), pushed(one_walk(), cuts)
    assert batch.step is stream.step is Step.DONE
    assert stream.result.rotation.tobytes() == batch.result.rotation.tobytes()
    assert stream.result.n_strides == batch.result.n_strides
    assert batch.gravity_m_s2 is not None
    assert stream.gravity_m_s2 is not None
    assert stream.gravity_m_s2.tobytes() == batch.gravity_m_s2.tobytes()


def test_what_comes_after_the_result_changes_nothing() -> None:
    told = pushed(one_walk())
    longer = np.concatenate([one_walk(), one_walk() @ BACK_TO_FRONT])
    assert pushed(longer).result.rotation.tobytes() == told.result.rotation.tobytes()


def test_a_sensor_of_another_rate_is_resampled_as_live_does() -> None:
    gait = draw_people(4, seed=5)[3].gait
    assert gait is not None
    fast = walk(gait, duration_s=25.0, rate_hz=208.0, seed=3)
    calibration = pushed(fast, rate_hz=208.0)
    assert calibration.result.state == "as configured"
    assert calibration.result.tilt_deg == pytest.approx(find_mounting(fast, 208.0).tilt_deg, abs=2)


def test_removed_gravity_is_told_while_the_wearer_still_stands() -> None:
    standing = np.zeros((130, 6), np.float32)
    calibration = pushed(standing)
    assert calibration.step is Step.DONE
    assert (calibration.result.state, calibration.result.reason) == ("cannot tell", NO_GRAVITY)
    # Less than a second of it may be a foot in the air.
    assert pushed(standing[:78]).step is Step.STAND


def test_who_only_stands_is_asked_to_walk() -> None:
    standing = np.tile(np.array([0, 0, STANDARD_GRAVITY_M_S2, 0, 0, 0], np.float32), (600, 1))
    calibration = pushed(standing)
    assert calibration.step is Step.WALK
    assert (calibration.result.reason, calibration.result.n_strides) == (TOO_FEW_STRIDES, 0)


def test_strides_from_before_and_after_a_restart_count_together_and_none_reaches_over_it() -> None:
    samples = one_walk()
    half = 13 * 104
    time_ns = np.rint(np.arange(len(samples)) * 1e9 / RATE_HZ).astype(np.int64)
    calibration = Calibration(RATE_HZ)
    calibration.push(time_ns[:half], samples[:half])
    before = calibration.n_strides
    calibration.restart()
    assert 0 < before == calibration.n_strides < MIN_STRIDES
    calibration.push(time_ns[: len(samples) - half], samples[half:])
    assert calibration.result.state == "as configured"
