"""`frailedge calibrate` on recordings and on the virtual sensor: what is printed, and which status it ends with."""

import re
import signal
import subprocess
import tomllib
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import typer

from edge.bundle import load_bundle
from edge.cli import calibrate
from edge.errors import ConfigError, RecordingError
from edge.paths import default_bundle_dir
from edge.recording.recorder import Recorder
from edge.recording.settings import session_info
from edge.records import LinkStatus
from edge.run_settings import RunSensor
from edge.sources.conventions import parse_axes, to_foot_frame
from firmware_bridge.channels import Samples
from firmware_bridge.walker import walk
from tests.edge.cli.run import frailedge, start
from tests.edge.recording import made
from trainer.class_figures import draw_people

SENSOR = """
description = "one foot"
acc_unit = "m/s^2"
gyr_unit = "rad/s"
gravity = "{gravity}"
frame = "foot"
[[layouts]]
name = "plain"
starts_with = "ax,"
header_lines = 1
rate_hz = 104.0
[layouts.sensor]
acc = ["ax", "ay", "az"]
gyr = ["gx", "gy", "gz"]
axes = {axes}
"""
AXES_LINE = re.compile(r"^axes = (\[.*\])$", re.MULTILINE)


@cache
def foot() -> Samples:
    gait = draw_people(4, seed=5)[3].gait
    assert gait is not None
    return walk(gait, duration_s=25.0, rate_hz=104.0, seed=3)


def write_worn(folder: Path, worn: str, *, seconds: float = 25.0) -> Path:
    """A walk whose sensor's axes ``worn`` point to toe, left and up."""
    raw = to_foot_frame(foot()[: round(seconds * 104)].astype(np.float64), parse_axes(worn).T)
    path = folder / "walk.csv"
    np.savetxt(path, raw, delimiter=",", fmt="%.5f", header="ax,ay,az,gx,gy,gz", comments="")
    return path


def described(folder: Path, axes: str, gravity: str = "included") -> str:
    path = folder / "sensor.toml"
    path.write_text(SENSOR.format(axes=str(axes.split(",")).replace("'", '"'), gravity=gravity))
    return str(path)


def run(path: Path, **options: Any) -> int:
    """In this process; the exit status."""
    try:
        calibrate.command(path, **options)
    except typer.Exit as ended:
        return ended.exit_code
    return 0


@pytest.mark.parametrize(("worn", "configured"), [("x,-z,y", "x,y,z"), ("-y,z,-x", "-z,-x,y"), ("-x,-y,z", "x,-z,y")])
def test_the_axes_printed_for_a_recording_put_into_its_description_are_as_configured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], worn: str, configured: str
) -> None:
    path = write_worn(tmp_path, worn)
    assert run(path, sensor=[described(tmp_path, configured)]) == 0
    out = capsys.readouterr().out
    assert f"worn otherwise than configured ({configured})" in out
    (pasted,) = AXES_LINE.findall(out)
    axes = ",".join(tomllib.loads(f"axes = {pasted}")["axes"])
    assert axes == worn
    assert run(path, sensor=[described(tmp_path, axes)]) == 0
    out = capsys.readouterr().out
    assert "worn as configured" in out
    assert not AXES_LINE.search(out)


def test_a_file_that_replay_refuses_for_its_axes_is_calibrated_and_then_replays_with_what_was_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    raw = np.concatenate([foot()[:, :3] @ parse_axes("-x,-y,z"), foot()[:, 3:] @ parse_axes("-x,-y,z")], axis=1)
    path = tmp_path / "V001.txt"
    columns = [np.arange(len(raw)) / 104.0, *raw.T]
    header = "Time (s),Acc X (m/s2),Acc Y (m/s2),Acc Z (m/s2),Gyr X (rad/s),Gyr Y (rad/s),Gyr Z (rad/s)"
    np.savetxt(path, np.column_stack(columns), delimiter=",", fmt="%.6f", header=header, comments="")
    assert run(path) == 0
    assert '--axes "-x,-y,z"' in capsys.readouterr().out
    assert run(path, axes="-x,-y,z") == 0
    assert "worn as configured" in capsys.readouterr().out


@pytest.mark.parametrize(("turns_itself", "axes"), [(False, "x,-z,y"), (True, "x,y,z")])
def test_a_recorded_session_is_calibrated_with_the_axes_it_was_recorded_with(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], turns_itself: bool, axes: str
) -> None:
    bundle = load_bundle(default_bundle_dir())
    sensor = RunSensor(stream_id=0, name="left", axes="x,-z,y")
    info = session_info(
        msgspec.structs.replace(made.settings(tmp_path), sensors=(sensor,)), bundle, made.WALL_MINUS_MONOTONIC_NS
    )
    recording = Recorder(tmp_path, info, {0: "left"}, rotate_s=600.0, say=print)
    records = [
        (sequence, replace(record, item=replace(record.item, is_foot_frame=turns_itself)))
        if isinstance(record.item, LinkStatus)
        else (sequence, record)
        for sequence, record in made.sent(tmp_path, 25.0)
    ]
    made.record_all(records, recording)
    assert run(tmp_path) == 0
    out = capsys.readouterr().out
    assert f"left: The sensor's axes {axes} point to toe, left and up" in out
    assert "left: It is worn as configured" in out


def test_too_short_a_walk_ends_with_status_1_its_reason_and_advice(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_worn(tmp_path, "x,y,z", seconds=12.0)
    assert run(path, sensor=[described(tmp_path, "x,y,z")]) == 1
    said = capsys.readouterr()
    assert re.search(r"cannot be told: fewer than 10 strides \([1-9] strides\)", said.out)
    assert "at least 12 strides" in said.out
    assert "rate 104 Hz" in said.err


def test_a_recording_without_gravity_cannot_be_told_for_that_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_worn(tmp_path, "x,y,z")
    assert run(path, sensor=[described(tmp_path, "x,y,z", gravity="removed")]) == 1
    assert "gravity is removed" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"file": Path("walk.csv"), "virtual": True}, "--virtual with walk.csv"),
        ({"file": Path("walk.csv"), "within_s": 9.0, "seed": 1}, "--within-s, --seed: not for a recording"),
        ({"virtual": True, "sensor": ["left"], "units": "g,deg/s"}, "--sensor, --units: not for the virtual sensor"),
        ({"walker": "frail", "axes": "x,y,z"}, "--walker, --axes: not for a Bluetooth LE sensor"),
        ({"virtual": True, "within_s": 0.0}, "--within-s 0: must be above 0"),
        ({"virtual": True, "walker": "nobody"}, "no such walker"),
        ({"virtual": True, "rate_hz": 60.0}, "104"),
        ({"file": Path("walk.csv"), "sensor": ["a", "b"]}, "--sensor was given 2 times"),
        ({"file": Path("session.mcap"), "axes": "x,y,z"}, "--axes with session.mcap"),
    ],
)
def test_what_does_not_fit_together_is_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        calibrate.command(**options)


def test_a_recording_too_slow_for_strides_is_refused(tmp_path: Path) -> None:
    path = write_worn(tmp_path, "x,y,z")
    sensor = described(tmp_path, "x,y,z")
    slow = Path(sensor)
    slow.write_text(slow.read_text().replace("rate_hz = 104.0", "rate_hz = 40.0"))
    with pytest.raises(RecordingError, match="--low-rate"):
        calibrate.command(path, sensor=[sensor])


def test_the_wearer_is_walked_through_step_by_step_and_ctrl_c_ends_it_with_what_is_known(tmp_path: Path) -> None:
    """To its own end it comes in `tests/ble/test_calibrate_bluez.py`, where time can pass faster."""
    config = tmp_path / "frailedge.toml"
    config.write_text(f'[record]\non = true\ndirectory = "{tmp_path / "recordings"}"\n')
    process = start(["calibrate", "--virtual", "--config", config])
    assert process.stdout is not None
    said: list[str] = []
    for line in process.stdout:
        said.append(line.rstrip("\n").split(" | ")[2])
        if said[-1].startswith("walk"):
            break
    steps = ["waiting for its signal", "signal at 104 Hz", "stand still", "stood still: the sensor feels 1.0", "walk"]
    found = [next(k for k, words in enumerate(said) if words.startswith(step)) for step in steps]
    assert found == sorted(found)
    children = subprocess.run(["ps", "-o", "pid=", "--ppid", str(process.pid)], capture_output=True, text=True)
    pids = children.stdout.split()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (1, "")
    assert "virtual: How the sensor sits cannot be told: fewer than 10 strides" in out
    assert "\x1b" not in out
    assert len(pids) == 1  # ingestion alone, although the configuration has live record
    assert not (tmp_path / "recordings").exists()
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)


def test_a_time_limit_ends_it_with_reason_and_advice() -> None:
    ended = frailedge("calibrate", "--virtual", "--within-s", "0.5")
    assert (ended.returncode, ended.stderr) == (1, "")
    last = ended.stdout.splitlines()[-2:]
    assert re.search("cannot be told: (nothing came from the sensor|fewer than 10 strides)", last[0])
    assert re.search("Switch it on|Stand still", last[1])
