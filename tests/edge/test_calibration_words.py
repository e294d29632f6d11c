"""What is said of a calibration: the sensor's own axes, which configured make the next one say "as configured"."""

import tomllib
from functools import cache

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge.calibration_words import calibration_words, needs_other_axes, sensor_axes, toml_lines
from edge.config import SensorConfig
from edge.errors import RecordingError
from edge.sources.conventions import parse_axes, to_foot_frame
from edge.stream.calibration import RATE_HZ
from edge.stream.mounting import MOVED, NO_GRAVITY, TOO_FEW_STRIDES, MountingResult, find_mounting
from firmware_bridge.channels import Samples
from tests.edge.stream.test_calibration import one_walk

ALL_AXES = [
    f"{a}{x},{b}{y},{c}{z}"
    for x, y, z in ("xyz", "yzx", "zxy", "xzy", "zyx", "yxz")
    for a in ("", "-")
    for b in ("", "-")
    for c in ("", "-")
]
Rotation = NDArray[np.float64]


def is_proper(axes: str) -> bool:
    try:
        parse_axes(axes)
    except RecordingError:
        return False
    return True


PROPER_AXES = [axes for axes in ALL_AXES if is_proper(axes)]


@cache
def foot() -> Samples:
    return one_walk()


def found_with(raw: NDArray[np.float64], axes: str) -> MountingResult:
    return find_mounting(to_foot_frame(raw, parse_axes(axes)).astype(np.float32), RATE_HZ)


@pytest.mark.parametrize("worn", PROPER_AXES[::2])
def test_axes_found_under_wrong_ones_are_as_configured_the_next_time(worn: str) -> None:
    raw = to_foot_frame(foot().astype(np.float64), parse_axes(worn).T)
    wrong = PROPER_AXES[(PROPER_AXES.index(worn) + 7) % 24]
    first = found_with(raw, wrong)
    assert first.state == "corrected"
    told = needs_other_axes(first, wrong)
    assert told == worn
    assert f"axes {worn} point to toe, left and up" in calibration_words(first, wrong)[0]
    again = found_with(raw, told)
    assert again.state == "as configured"
    assert needs_other_axes(again, told) == ""
    assert "worn as configured" in calibration_words(again, told)[-1]


def test_there_are_24_ways_and_each_is_named_as_itself() -> None:
    assert len(PROPER_AXES) == 24
    for axes in PROPER_AXES:
        result = MountingResult("corrected", "", parse_axes(axes), 10, 90.0, "unknown")
        assert sensor_axes(result, "x,y,z") == (axes, 0.0)


@given(
    axis=st.tuples(*[st.floats(-1, 1)] * 3).filter(lambda a: float(np.linalg.norm(a)) > 0.1),
    angle=st.floats(0, np.pi),
)
def test_any_rotation_gets_axes_that_can_be_configured_and_no_others_are_nearer(
    axis: tuple[float, float, float], angle: float
) -> None:
    rotation = about(np.array(axis), angle)
    axes, left_deg = sensor_axes(MountingResult("corrected", "", rotation, 10, 90.0, "unknown"), "x,y,z")
    nearest = min(angle_deg(rotation @ parse_axes(other).T) for other in PROPER_AXES)
    assert left_deg == pytest.approx(nearest, abs=1e-4)
    assert angle_deg(rotation @ parse_axes(axes).T) == pytest.approx(nearest, abs=1e-4)


def about(axis: NDArray[np.float64], angle_rad: float) -> Rotation:
    x, y, z = axis / np.linalg.norm(axis)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.asarray(np.eye(3) + np.sin(angle_rad) * cross + (1 - np.cos(angle_rad)) * (cross @ cross))


def angle_deg(rotation: Rotation) -> float:
    return float(np.degrees(np.arccos(np.clip((np.trace(rotation) - 1) / 2, -1, 1))))


def test_a_tilt_that_no_axes_take_away_is_left_to_the_screen() -> None:
    tilted = MountingResult("corrected", "", about(np.array([0.0, 1.0, 0.0]), np.radians(40)), 10, 40.0, "left")
    lines = calibration_words(tilted, "x,y,z")
    assert "this is the left foot" in lines[0]
    assert "40 degrees" in lines[1]
    assert "`live` takes it out" in lines[1]
    assert needs_other_axes(tilted, "x,y,z") == ""
    # Turned round as well: the axes help, and the rest is left all the same.
    turned = MountingResult("corrected", "", tilted.rotation @ np.diag([-1.0, -1.0, 1.0]), 10, 140.0, "unknown")
    assert needs_other_axes(turned, "x,y,z") == "-x,-y,z"
    assert "`live` takes it out" in calibration_words(turned, "x,y,z")[1]


def test_a_sensor_that_turns_its_axes_itself_is_not_told_to_configure_any() -> None:
    round_about = MountingResult("corrected", "", np.diag([-1.0, -1.0, 1.0]), 10, 180.0, "unknown")
    lines = calibration_words(round_about, "x,-z,y", turns_itself=True)
    assert "axes -x,-y,z point" in lines[0]
    assert "turns its axes itself" in lines[2]
    assert needs_other_axes(round_about, "x,-z,y", turns_itself=True) == ""


@pytest.mark.parametrize(
    ("reason", "advice"),
    [(TOO_FEW_STRIDES, "12 strides"), (MOVED, "strap"), (NO_GRAVITY, "raw acceleration"), ("another", "strap")],
)
def test_what_cannot_be_told_comes_with_its_reason_and_advice(reason: str, advice: str) -> None:
    lines = calibration_words(MountingResult("cannot tell", reason, np.eye(3), 7, 0.0, "unknown"), "x,y,z")
    assert reason in lines[0]
    assert "7 strides" in lines[0]
    assert advice in lines[1]


@given(match=st.text(min_size=1, max_size=20))
def test_the_lines_to_paste_are_the_configuration_of_that_sensor_whatever_it_is_called(match: str) -> None:
    sensor = SensorConfig(name="left", match=match, kind="movella-dot")
    read = tomllib.loads("\n".join(toml_lines(sensor, "x,-z,y")))
    (found,) = msgspec.convert(read["ble"]["sensors"], tuple[SensorConfig, ...])
    assert found == SensorConfig(name="left", match=match, kind="movella-dot", axes="x,-z,y")
