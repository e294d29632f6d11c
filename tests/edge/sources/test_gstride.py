"""Every layout that the database may have is read back to the samples that were written, or refused with its reason."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge.errors import ConfigError, RecordingError
from edge.sources.files import read_recording
from tests.combinations import all_of, pairwise_of
from tests.edge.sources.walks import walked, write_walk
from trainer.twins import RAW_V1, Layout, format_samples

ACC_TOLERANCE_M_S2 = 2e-5
GYR_TOLERANCE_RAD_S = 2e-6

TEXTS = [
    options
    for options in all_of(
        {
            "separator": [" ", ",", ";", "\t"],
            "decimal": [".", ","],
            "header": [True, False],
            "time_column": ["none", "s", "ms", "us", "index"],
            "trailing_columns": [0, 2],
        }
    )
    if options["separator"] != options["decimal"]
]


@pytest.mark.parametrize("options", pairwise_of(TEXTS), ids=lambda o: "|".join(repr(v).strip("'") for v in o.values()))
def test_each_pair_of_text_options_is_read_back_to_the_same_samples(tmp_path: Path, options: dict[str, Any]) -> None:
    _check_text(tmp_path, options)


@pytest.mark.soak
def test_every_text_layout_is_read_back_to_the_same_samples(tmp_path: Path) -> None:
    for i, options in enumerate(TEXTS):
        (tmp_path / str(i)).mkdir()
        _check_text(tmp_path / str(i), options)


def _check_text(folder: Path, options: dict[str, Any]) -> None:
    recording = read_recording(write_walk(folder, Layout(**options)))
    truth = walked()
    assert recording.samples.shape == truth.shape
    np.testing.assert_allclose(recording.samples[:, :3], truth[:, :3], atol=ACC_TOLERANCE_M_S2)
    np.testing.assert_allclose(recording.samples[:, 3:], truth[:, 3:], atol=GYR_TOLERANCE_RAD_S)
    assert recording.rate_hz == pytest.approx(104.0, rel=1e-5)
    expected_ns = np.arange(len(truth)) * 1e9 / 104.0
    np.testing.assert_allclose(recording.time_ns, expected_ns, atol=1e3)
    assert recording.gravity == "included"


NUMBERS = all_of(
    {
        "rate_hz": [104.0, 128.0],
        "acc_unit": ["m/s^2", "g"],
        "gyr_unit": ["rad/s", "deg/s"],
        "gyr_first": [False, True],
        "header": [False, True],
    }
)


@pytest.mark.parametrize("options", pairwise_of(NUMBERS), ids=lambda o: "|".join(map(str, o.values())))
def test_units_rate_and_order_are_found_and_stated(tmp_path: Path, options: dict[str, Any]) -> None:
    rate_hz = options["rate_hz"]
    layout = Layout(**{name: value for name, value in options.items() if name != "rate_hz"})
    recording = read_recording(write_walk(tmp_path, layout, rate_hz=rate_hz))
    np.testing.assert_allclose(recording.samples, walked(rate_hz), atol=ACC_TOLERANCE_M_S2)
    stated = "\n".join(recording.statements)
    assert f"rate {rate_hz:g} Hz" in stated
    assert f"acceleration in {layout.acc_unit}" in stated
    assert f"rate in {layout.gyr_unit}" in stated
    assert "count as toe, left, up" in stated


@pytest.mark.parametrize("axes", ["x,-z,y", "-y,x,z", "-x,-y,z", "z,y,-x"])
def test_other_axes_are_turned_as_given_and_else_refused_with_those_that_gravity_and_strides_show(
    tmp_path: Path, axes: str
) -> None:
    path = write_walk(tmp_path, Layout(axes=axes))
    np.testing.assert_allclose(read_recording(path, axes=axes).samples, walked(), atol=ACC_TOLERANCE_M_S2)
    with pytest.raises(RecordingError, match=f'--axes "{axes}"'):
        read_recording(path)


def test_counts_get_their_scales_from_gravity_and_from_what_strides_must_come_back_to(tmp_path: Path) -> None:
    layout = Layout(header=False, acc_unit="counts", gyr_unit="counts", leading_zero_rows=400)
    recording = read_recording(write_walk(tmp_path, layout, name="V007_45C9.txt"))
    truth = walked()
    assert recording.samples.shape == truth.shape
    at_swing = np.abs(truth[:, 4]) > 1.0
    assert np.median(recording.samples[at_swing, 4] / truth[at_swing, 4]) == pytest.approx(1.0, abs=0.03)
    assert np.median(recording.samples[:, 2] / truth[:, 2]) == pytest.approx(1.0, abs=0.02)
    assert "400 leading rows of zeros skipped" in recording.statements


def test_counts_get_the_scale_of_the_calibrated_file_beside_them(tmp_path: Path) -> None:
    raw = write_walk(tmp_path, RAW_V1, name="V007_45C9.txt")
    (tmp_path / "Test_recordings_calibrated").mkdir()
    write_walk(tmp_path, Layout()).rename(tmp_path / "Test_recordings_calibrated" / "V007.txt")
    recording = read_recording(raw)
    at_swing = np.abs(walked()[:, 4]) > 1.0
    assert np.median(recording.samples[at_swing, 4] / walked()[at_swing, 4]) == pytest.approx(1.0, abs=0.002)
    assert any("has the same walk" in line for line in recording.statements)


def test_the_scale_of_counts_can_be_given(tmp_path: Path) -> None:
    raw = write_walk(tmp_path, RAW_V1, name="V007_45C9.txt")
    recording = read_recording(raw, units=f"{1 / 2048}*g,{1 / 16.4}*deg/s", rate_hz=104)
    np.testing.assert_allclose(recording.samples[:, :3], walked()[:, :3], atol=0.6 * 9.81 / 2048)
    np.testing.assert_allclose(recording.samples[:, 3:], walked()[:, 3:], atol=0.6 * np.deg2rad(1 / 16.4))


def test_rows_with_nan_and_rows_of_zeros_are_gaps_in_time(tmp_path: Path) -> None:
    path = write_walk(tmp_path, Layout())
    lines = path.read_text().splitlines()
    lines[101:105] = ["NaN NaN NaN NaN NaN NaN"] * 4
    lines[301] = "0 0 0 0 0 0"
    path.write_text("\n".join(lines))
    recording = read_recording(path)
    steps = np.rint(np.diff(recording.time_ns) * 104.0 / 1e9)
    assert np.flatnonzero(steps != 1).tolist() == [99, 295]
    assert steps[[99, 295]].tolist() == [5, 2]
    assert len(recording.samples) == len(walked()) - 5
    assert "4 rows with NaN count as missing samples" in recording.statements


@pytest.mark.parametrize("number", ["1e39", "-1e38", "1e999"])
@pytest.mark.parametrize("column", [2, 4])
def test_rows_with_what_no_float32_can_hold_are_gaps_in_time_and_counted(
    tmp_path: Path, number: str, column: int
) -> None:
    path = write_walk(tmp_path, Layout())
    lines = path.read_text().splitlines()
    for i in (101, 102):
        cells = lines[i].split()
        cells[column] = number
        lines[i] = " ".join(cells)
    path.write_text("\n".join(lines))
    recording = read_recording(path, units="9*g,9*rad/s")
    assert np.isfinite(recording.samples).all()
    assert len(recording.samples) == len(walked()) - 2
    assert int(np.diff(recording.time_ns).argmax()) == 99
    assert "2 rows with a number beyond 3.4e+38 count as missing samples" in recording.statements


def test_a_short_or_cut_off_recording_is_read_and_said_so(tmp_path: Path) -> None:
    path = write_walk(tmp_path, Layout(separator=";"))
    lines = path.read_text().splitlines()[:900]
    path.write_text("\n".join([*lines, "1.0;2.0"]))
    recording = read_recording(path, rate_hz=104)
    assert len(recording.samples) == 899
    assert "line 901, the last, ends too early and was left out" in recording.statements
    assert "only 899 samples: hardly a walk" in recording.statements


def _walk_text(**options: Any) -> str:
    return format_samples(walked(), 104.0, Layout(**options))


def _replace_line(text: str, number: int, line: str) -> str:
    lines = text.splitlines()
    lines[number - 1] = line
    return "\n".join(lines) + "\n"


BAD: dict[str, tuple[str | Callable[[], str], dict[str, Any], str]] = {
    "empty": ("", {}, "the file is empty"),
    "blank lines": ("\n  \n", {}, "the file is empty"),
    "prose": ("Dear reader,\nthis is a letter.\n", {}, "no row of numbers .* this is no recording"),
    "three columns": ("a b c\n1 2 3\n4 5 6\n", {}, "3 columns .* 6 or more.* --sensor gaitmap"),
    "only NaN": ("NaN NaN NaN NaN NaN NaN\n" * 300, {}, "only NaN"),
    "only zeros": ("0 0 0 0 0 0\n" * 300, {}, "all values are 0"),
    "mixed decimals, semicolons": (
        lambda: _replace_line(_walk_text(separator=";"), 50, "1,5;2,5;3,5;4,5;5,5;6,5"),
        {"rate_hz": 104},
        "line 50 has a decimal comma, unlike the lines before",
    ),
    "mixed decimals, commas": (
        lambda: _replace_line(_walk_text(separator=","), 50, "1,5,2.5,3.5,4.5,5.5,6.5"),
        {"rate_hz": 104},
        "line 50 has 7 cells, the lines before have 6; are points and commas mixed",
    ),
    "commas for both": (
        "a,b,c,d,e,f\n" + "1,0,2,0,3,0,4,0,5,0,6,0\n" * 20,
        {},
        "commas are both separator and decimal sign",
    ),
    "a word": (lambda: _replace_line(_walk_text(), 60, "1 2 3 x 5 6"), {}, 'line 60, column 4: "x" is no number'),
    "time goes back": (
        lambda: _replace_line(_walk_text(time_column="s", separator=";"), 60, "0.001;1;2;3;4;5;6"),
        {},
        "line 60: time goes back",
    ),
    "no register": (_walk_text, {}, "no Database_register.csv .* --rate-hz"),
    "rate beside a time column": (lambda: _walk_text(time_column="s"), {"rate_hz": 104}, "leave --rate-hz out"),
    "no unit": (
        lambda: format_samples(0.3 * walked(), 104.0, Layout()),
        {"rate_hz": 104},
        "unit of acceleration .* --units",
    ),
    "header against numbers": (
        lambda: _walk_text().replace("AccX AccY AccZ", "AccX(g) AccY(g) AccZ(g)"),
        {"rate_hz": 104},
        "the header names the unit g, but acceleration at rest is 9.*--units",
    ),
    "bad units": (_walk_text, {"rate_hz": 104, "units": "furlong,deg/s"}, '--units "furlong,deg/s" is not understood'),
    "bad axes": (_walk_text, {"rate_hz": 104, "axes": "x,x,z"}, "do not name three different axes"),
    "mirrored axes": (_walk_text, {"rate_hz": 104, "axes": "x,-y,z"}, "left-handed"),
    "only a time and five": (
        "t,a,b,c,d,e\n" + "".join(f"{i / 100},1,2,3,4,5\n" for i in range(50)),
        {},
        "6 columns, 1 of them a time or a count: six are needed",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_refused_in_one_line_that_says_what_and_where(tmp_path: Path, case: str) -> None:
    text, options, message = BAD[case]
    path = tmp_path / "V007.txt"
    path.write_text(text() if callable(text) else text)
    with pytest.raises(RecordingError, match=message) as caught:
        read_recording(path, **options)
    assert "\n" not in str(caught.value)


def test_a_missing_file_a_folder_and_a_binary_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="no such file"):
        read_recording(tmp_path / "absent.txt")
    with pytest.raises(RecordingError, match="this is a folder"):
        read_recording(tmp_path)
    (tmp_path / "b.txt").write_bytes(b"\x7fELF\0\0\0")
    with pytest.raises(RecordingError, match="no text file"):
        read_recording(tmp_path / "b.txt")


def test_a_rate_that_fits_no_device_is_refused_with_the_estimate(tmp_path: Path) -> None:
    path = write_walk(tmp_path, Layout(), rate_hz=80.0)
    with pytest.raises(
        RecordingError, match=r"the rate cannot be found.* Hz, not 104 or 128; give it by --rate-hz|repeats"
    ):
        read_recording(path)


def test_a_person_that_the_register_does_not_list_needs_a_rate(tmp_path: Path) -> None:
    path = write_walk(tmp_path, Layout(), name="V099.txt")
    with pytest.raises(RecordingError, match=r"does not list V099; give it by --rate-hz"):
        read_recording(path)
    assert read_recording(path, rate_hz=104).rate_hz == 104


def test_options_that_exclude_each_other_are_refused(tmp_path: Path) -> None:
    path = write_walk(tmp_path, Layout())
    with pytest.raises(ConfigError, match="--side left needs --sensor"):
        read_recording(path, side="left")
    with pytest.raises(ConfigError, match="--units with --sensor xio"):
        read_recording(path, sensor="xio", units="g,deg/s")
    with pytest.raises(ConfigError, match="say left or right"):
        read_recording(path, side="middle")
