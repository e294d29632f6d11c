"""Files described by a TOML file: the real walks of gaitmap and xio, and what is wrong with a description or a file."""

from pathlib import Path

import numpy as np
import pytest

from edge.errors import ConfigError, RecordingError
from edge.sources.described import load_sensor, sensor_names
from edge.sources.files import read_recording
from tests.shared_data import shared

SENSOR = """
description = "one foot"
acc_unit = "g"
gyr_unit = "deg/s"
gravity = "included"
frame = "foot"
[[layouts]]
name = "plain"
starts_with = "t,"
header_lines = 1
time_column = "t"
time_unit = "ms"
[layouts.sensor]
acc = ["ax", "ay", "az"]
gyr = ["gx", "gy", "gz"]
axes = ["x", "-z", "y"]
"""
HEADER = "t,ax,ay,az,gx,gy,gz"


def _write(folder: Path, rows: list[str], sensor: str = SENSOR, header: str = HEADER) -> tuple[Path, str]:
    (folder / "my.toml").write_text(sensor)
    (folder / "walk.csv").write_text("\n".join([header, *rows]) + "\n")
    return folder / "walk.csv", str(folder / "my.toml")


def _rows(times_ms: list[int]) -> list[str]:
    return [f"{t},0.1,1,{t},10,20,30" for t in times_ms]


@pytest.mark.parametrize("side", ["left", "right"])
def test_the_gaitmap_walk_has_both_feet_in_si_units_with_gravity_up(side: str) -> None:
    path = shared("walks/gaitmap/imu_sample.csv")
    recording = read_recording(path, sensor="gaitmap", side=side)
    table = np.genfromtxt(path, delimiter=",", skip_header=2)[:, 1 if side == "left" else 2 :: 2]
    assert recording.samples.shape == (7928, 6)
    assert recording.rate_hz == 204.8
    np.testing.assert_allclose(recording.samples[:, :3], table[:, :3], rtol=1e-6)
    np.testing.assert_allclose(recording.samples[:, 3:], np.deg2rad(table[:, 3:]), rtol=1e-5)
    assert recording.samples[:100, 2].mean() == pytest.approx(9.4, abs=0.3)


def test_the_ms_walk_and_the_stairs_are_told_apart_by_their_headers() -> None:
    ms = read_recording(shared("walks/gaitmap/imu_sample_ms_left.csv"), sensor="gaitmap")
    assert (len(ms.samples), ms.rate_hz) == (7000, 102.4)
    stairs = read_recording(shared("walks/gaitmap/imu_sample_healthy_stair_down.csv"), sensor="gaitmap", side="right")
    assert len(stairs.samples) == 4488
    assert stairs.rate_hz == pytest.approx(204.8)


def test_the_xio_walk_has_205_repeated_rows_and_165_gaps_of_1_to_4_samples() -> None:
    recording = read_recording(shared("walks/xio/short_walk.csv"), sensor="xio")
    assert recording.n_duplicates == 205
    assert len(recording.samples) == 16539 - 205
    assert recording.rate_hz == pytest.approx(398.31, abs=0.01)
    missing = np.rint(np.diff(recording.time_ns) * recording.rate_hz / 1e9) - 1
    assert (missing > 0).sum() == 165
    assert missing.max() == 4
    assert any("205 rows" in line and "165 gaps" in line for line in recording.statements)


def test_two_feet_without_a_side_and_a_foot_that_is_not_there_are_refused() -> None:
    with pytest.raises(RecordingError, match=r"both feet; choose one by --side left\|right"):
        read_recording(shared("walks/gaitmap/imu_sample.csv"), sensor="gaitmap")
    with pytest.raises(RecordingError, match="this file has only left"):
        read_recording(shared("walks/gaitmap/imu_sample_ms_left.csv"), sensor="gaitmap", side="right")
    with pytest.raises(RecordingError, match="leave --side out"):
        read_recording(shared("walks/xio/short_walk.csv"), sensor="xio", side="left")


def test_a_file_of_another_sensor_is_refused_with_its_first_line() -> None:
    with pytest.raises(RecordingError, match=r'fits no layout of --sensor xio: .*first line is "sensor,left_sensor'):
        read_recording(shared("walks/gaitmap/imu_sample.csv"), sensor="xio")


def test_every_sensor_file_that_ships_is_valid() -> None:
    assert {"gaitmap", "xio"} <= set(sensor_names())
    for name in sensor_names():
        assert load_sensor(name).layouts


def test_units_axes_and_time_of_a_file_of_ones_own(tmp_path: Path) -> None:
    path, sensor = _write(tmp_path, _rows([0, 10, 20, 50, 60]))
    recording = read_recording(path, sensor=sensor)
    np.testing.assert_allclose(recording.samples[1, :3], np.array([0.1, -10.0, 1.0]) * 9.80665, rtol=1e-6)
    np.testing.assert_allclose(recording.samples[1, 3:], np.deg2rad([10, -30, 20]), rtol=1e-6)
    assert recording.time_ns.tolist() == [0, 10_000_000, 20_000_000, 50_000_000, 60_000_000]
    assert recording.rate_hz == pytest.approx(100)
    assert any("1 gaps of 2 samples" in line for line in recording.statements)


def test_a_rate_beside_a_time_column_is_handed_on_exactly_and_the_times_are_the_columns(tmp_path: Path) -> None:
    nominal = SENSOR.replace('time_unit = "ms"', 'time_unit = "ns"\nrate_hz = 104.0')
    times_ns = [0, 9_615_000, 19_231_000, 28_846_000, 96_154_000]
    path, sensor = _write(tmp_path, _rows(times_ns), nominal)
    recording = read_recording(path, sensor=sensor)
    assert recording.rate_hz == 104.0
    assert recording.time_ns.tolist() == times_ns
    assert any("rate 104 Hz as the sensor's file says, 104 Hz by the time column" in s for s in recording.statements)


def test_samples_at_the_range_are_known_by_the_range_stated_or_by_a_column(tmp_path: Path) -> None:
    rows = ["0,0,1,15.99,0,0,0", "10,0,1,0,0,-1999,0", "20,0,1,15.9,0,0,0", "30,0,-16,0,2000,0,0", "nan,0,9,0,0,0,0"]
    path, sensor = _write(tmp_path, [*rows, "40,0,1,0,0,0,0"])
    assert read_recording(path, sensor=sensor).saturated is None
    ranged = SENSOR.replace("[[layouts]]", "acc_range_g = 16\ngyr_range_deg_s = 2000\n[[layouts]]")
    path, sensor = _write(tmp_path, [*rows, "40,0,1,0,0,0,0"], ranged)
    recording = read_recording(path, sensor=sensor)
    assert recording.saturated is not None
    assert recording.saturated.tolist() == [True, True, False, True, False]
    assert "3 samples at the sensor's range" in recording.statements
    marked = SENSOR.replace('time_unit = "ms"', 'time_unit = "ms"\nsaturated_column = "full"')
    rows = ["0,0,1,0,0,0,0,0", "10,0,1,0,0,0,0,1", "10,0,1,0,0,0,0,1", "20,0,1,0,0,0,0,0", "30,0,1,0,0,0,0,0"]
    path, sensor = _write(tmp_path, rows, marked, HEADER + ",full")
    recording = read_recording(path, sensor=sensor)
    assert recording.saturated is not None
    assert recording.saturated.tolist() == [False, True, False, False], "the repeated row is dropped here too"


def test_what_no_float32_can_hold_is_missing_and_counted_apart_from_nan(tmp_path: Path) -> None:
    rows = [f"{t},0,1,0,0,0,0" for t in range(0, 80, 10)]
    rows[1] = "10,0,1,1e39,0,0,0"
    rows[2] = "20,0,1,0,0,-inf,0"
    rows[3] = "30,1e38,1,0,0,0,0"  # too large in m/s²
    rows[5] = "50,0,nan,0,1e300,0,0"
    path, sensor = _write(tmp_path, rows)
    recording = read_recording(path, sensor=sensor)
    assert np.isfinite(recording.samples).all()
    assert (recording.time_ns // 10_000_000).tolist() == [0, 4, 6, 7]
    assert "1 rows with NaN count as missing samples" in recording.statements
    assert "3 rows with a number beyond 3.4e+38 count as missing samples" in recording.statements


def test_a_rate_that_the_time_column_denies_is_refused_with_both(tmp_path: Path) -> None:
    wrong = SENSOR.replace('time_unit = "ms"', 'time_unit = "ms"\nrate_hz = 50.0')
    path, sensor = _write(tmp_path, _rows([0, 10, 20, 30]), wrong)
    with pytest.raises(RecordingError, match="rate 50 Hz as the sensor's file says, 100 Hz by the time column: mend"):
        read_recording(path, sensor=sensor)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (_rows([0, 10, 5, 20]), "line 4: time goes back"),
        ([*_rows([0, 10]), "10,9,9,9,9,9,9", *_rows([20])], "line 4 has the time of the line before but other values"),
        (["nan," * 6 + "nan"] * 4, "only NaN"),
        (_rows([0, 10]), "at least 3 are needed"),
        ([*_rows([0, 10]), "20,1,2", *_rows([30])], "line 4 has 3 cells"),
    ],
)
def test_a_damaged_file_is_refused_by_its_line(tmp_path: Path, rows: list[str], message: str) -> None:
    path, sensor = _write(tmp_path, rows)
    with pytest.raises(RecordingError, match=message):
        read_recording(path, sensor=sensor)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("time_unit", "time_units", r"unknown key 'layouts\.time_units'.*'layouts\.time_unit'"),
        ('"g"', '"mg"', "mg"),
        ('"-z"', '"z"', "left-handed"),
        ('time_column = "t"', "", "either rate_hz or time_column"),
        ("header_lines = 1", "", "header_lines"),
        ("[[layouts]]", "[[layouts", "no TOML"),
    ],
)
def test_a_wrong_description_is_refused_by_its_key(tmp_path: Path, old: str, new: str, message: str) -> None:
    path, sensor = _write(tmp_path, _rows([0, 10, 20]), SENSOR.replace(old, new))
    with pytest.raises(ConfigError, match=message):
        read_recording(path, sensor=sensor)


def test_an_unknown_sensor_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="known are gaitmap, truong, xio"):
        read_recording(tmp_path / "x.csv", sensor="gaitmop")


def test_a_column_that_is_not_there_is_named(tmp_path: Path) -> None:
    path, sensor = _write(tmp_path, _rows([0, 10, 20]), header="t,ax,ay,az,gx,gy,wz")
    with pytest.raises(RecordingError, match='no column is named "gz"; the header has t, ax'):
        read_recording(path, sensor=sensor)
