"""`frailedge replay` on real walks and on twins: window counts, repeatability, and each mistake in one line."""

import csv
import itertools
import json
import math
import re
import shutil
import socket
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest

from edge.bundle import load_bundle, write_bundle
from edge.config import ModelConfig, ScreenConfig
from edge.messages import Coefficients, Decision, Gait, Message, Prediction, determined
from edge.opening import open_model
from edge.paths import default_bundle_dir
from edge.replay import replay
from edge.sources.files import read_recording
from edge.sources.walkers import read_walker, walker_path
from edge.stream.mounting import MIN_STRIDES
from firmware_bridge.walker import walk
from tests.edge.cli.run import assert_refused, frailedge
from tests.edge.results import is_result
from tests.shared_data import shared
from tests.tiny_bundle import write_tiny_bundle

MAX = ("--speed", "max", "--no-publish")
SCREEN = ScreenConfig(mounting="trust").spec("included")
RATE_OUT_HZ, WINDOW, HOP, LONGEST_BRIDGED_S, MOST_BRIDGED = 104.0, 200, 50, 0.040, 20


def windows_by_hand(stamps_s: list[float], rate_hz: float) -> tuple[int, int]:
    """Windows and bridged samples as the gap rule has it, from nothing but time stamps and plain Python."""
    stretches: list[list[float]] = [[stamps_s[0]]]
    n_bridged = 0
    for stamp_s in stamps_s[1:]:
        n_missing = round((stamp_s - stretches[-1][-1]) * rate_hz) - 1
        if n_missing / rate_hz > LONGEST_BRIDGED_S:
            stretches.append([stamp_s])
        else:
            n_bridged += max(0, n_missing)
            stretches[-1].append(stamp_s)
    n_windows = 0
    for stretch in stretches:
        n_points = math.floor((stretch[-1] - stretch[0]) * RATE_OUT_HZ + 1e-6) + 1
        in_gap = [False] * n_points
        for before_s, after_s in itertools.pairwise(stretch):
            if round((after_s - before_s) * rate_hz) > 1:
                first = math.floor((before_s - stretch[0]) * RATE_OUT_HZ) + 1
                last = math.ceil((after_s - stretch[0]) * RATE_OUT_HZ) - 1
                in_gap[first : last + 1] = [True] * (last + 1 - first)
        starts = range(0, n_points - WINDOW + 1, HOP)
        n_windows += sum(sum(in_gap[start : start + WINDOW]) <= MOST_BRIDGED for start in starts)
    return n_windows, n_bridged


def said(text: str, pattern: str) -> str:
    found = re.search(pattern, text)
    assert found is not None, text
    return found[1]


@pytest.mark.parametrize("side", ["left", "right"])
def test_both_feet_of_a_real_walk_replay_to_the_end(side: str) -> None:
    path = shared("walks/gaitmap/imu_sample.csv")
    result = frailedge("replay", path, "--sensor", "gaitmap", "--side", side, *MAX)
    assert result.returncode == 0, result.stderr
    with path.open() as file:
        n_rows = sum(1 for _ in file) - 2
    expected, _ = windows_by_hand([i / 204.8 for i in range(n_rows)], 204.8)
    assert said(result.stderr, r"(\d+) windows, ") == str(expected)
    for words in ("204.8 Hz", "m/s^2 and deg/s", f", {side}", "0 long gaps"):
        assert words in result.stderr


def test_the_walk_of_a_person_with_multiple_sclerosis_replays_to_the_end() -> None:
    path = shared("walks/gaitmap/imu_sample_ms_left.csv")
    result = frailedge("replay", path, "--sensor", "gaitmap", "--side", "left", *MAX)
    assert result.returncode == 0, result.stderr
    with path.open() as file:
        n_rows = sum(1 for _ in file) - 1
    expected, _ = windows_by_hand([i / 102.4 for i in range(n_rows)], 102.4)
    assert said(result.stderr, r"(\d+) windows, ") == str(expected)
    assert "102.4 Hz" in result.stderr


def test_a_walk_with_duplicates_and_small_gaps_gives_windows_and_counts_every_loss() -> None:
    path = shared("walks/xio/short_walk.csv")
    result = frailedge("replay", path, "--sensor", "xio", *MAX)
    assert result.returncode == 0, result.stderr
    with path.open() as file:
        rows = list(csv.reader(file))[1:]
    stamps_s = sorted({float(row[0]) for row in rows})
    steps = np.diff(stamps_s)
    rate_hz = 1.0 / float(np.mean(steps[steps < 1.5 * np.median(steps)]))
    expected, n_bridged = windows_by_hand(stamps_s, rate_hz)
    assert expected > 0
    assert said(result.stderr, r"(\d+) windows, ") == str(expected)
    assert said(result.stderr, r"(\d+) missing ones bridged") == str(n_bridged)
    assert said(result.stderr, r"(\d+) duplicate rows dropped") == str(len(rows) - len(stamps_s)) == "205"
    for words in ("398.3 Hz", "165 gaps", "g and deg/s"):
        assert words in result.stderr


@pytest.fixture
def twin(tmp_path: Path) -> Path:
    """Thirty seconds of a virtual walk in the layout of GSTRIDE's calibrated files."""
    samples = walk(read_walker(walker_path("robust")), duration_s=30.0, rate_hz=104.0, seed=5)
    path = tmp_path / "V001.txt"
    np.savetxt(path, samples, fmt="%.5f", header="AccX AccY AccZ GyrX GyrY GyrZ", comments="")
    return path


def test_two_runs_print_the_same_bytes(twin: Path) -> None:
    runs = [frailedge("replay", twin, "--rate-hz", "104", "--json", *MAX) for _ in range(2)]
    assert runs[0].returncode == 0, runs[0].stderr
    assert runs[0].stdout == runs[1].stdout
    lines = [json.loads(line) for line in runs[0].stdout.splitlines()]
    assert len(lines) == (30 * 104 - WINDOW) // HOP + 1
    reasons = [line["reason"] for line in lines if line["motion"] == "walking"]
    assert reasons[0] == "mounting unknown", "ten strides come first"
    assert reasons[-1] != "mounting unknown"
    assert not {"boot_id", "sequence", "time_s", "latency_ms"} & set(lines[0])


def test_speed_changes_no_field_that_the_recording_determines(twin: Path) -> None:
    recording = read_recording(twin, rate_hz=104.0)
    bundle, classifier = open_model(ModelConfig())
    results = []
    for speed in (None, 200.0):
        messages: list[Prediction | Decision] = []
        replay(
            recording,
            bundle,
            classifier,
            sensor="foot",
            speed=speed,
            screen=SCREEN,
            sink=lambda message, kept=messages: kept.append(message) if is_result(message) else None,  # type: ignore[misc]
            wait=lambda _: None,
        )
        results.append([determined(message) for message in messages])
    n_windows = (30 * 104 - WINDOW) // HOP + 1
    n_refused = sum(result.get("n_refused") is not None and result["motion"] != "walking" for result in results[0])
    assert n_refused > 0, "the twin stands before it walks"
    assert len(results[0]) == 2 * n_windows - n_refused, "a decision each window, a prediction each that is used"
    assert results[0] == results[1]


def test_a_bundle_that_asks_for_more_than_can_be_had_gives_no_class_and_says_why(twin: Path) -> None:
    bundle, classifier = open_model(ModelConfig())
    strict = msgspec.structs.replace(bundle.manifest.decision, least_confidence=1.0)
    demanding = msgspec.structs.replace(bundle, manifest=msgspec.structs.replace(bundle.manifest, decision=strict))
    sent: list[Message] = []
    replay(
        read_recording(twin, rate_hz=104.0),
        demanding,
        classifier,
        sensor="foot",
        speed=None,
        screen=SCREEN,
        sink=sent.append,
        wait=lambda _: None,
    )
    decisions = [message for message in sent if isinstance(message, Decision) and message.motion == "walking"]
    n_early = strict.min_windows - 1
    assert [message.reason for message in decisions[:n_early]] == ["too few windows"] * n_early
    assert {(message.label, message.class_index, message.reason) for message in decisions[n_early:]} == {
        (None, -1, "low confidence")
    }


def test_coefficients_go_out_only_where_they_are_asked_for(twin: Path) -> None:
    recording = read_recording(twin, rate_hz=104.0)
    bundle, classifier = open_model(ModelConfig())
    for wanted in (False, True):
        messages: list[Message] = []
        replay(
            recording,
            bundle,
            classifier,
            sensor="foot",
            speed=None,
            screen=SCREEN,
            sink=messages.append,
            wait=lambda _: None,
            coefficients=wanted,
        )
        sent = [message for message in messages if isinstance(message, Coefficients)]
        n_predictions = sum(isinstance(message, Prediction) for message in messages)
        assert len(sent) == (n_predictions if wanted else 0)
        for message in sent:
            assert np.shape(message.coefficients) == (6, 203)
            again = classifier.predict(np.array(message.coefficients, dtype=np.float32).T)
            same = next(m for m in messages if isinstance(m, Prediction) and m.sample_start == message.sample_start)
            assert list(same.probabilities.values()) == again.tolist()


def test_signals_without_gravity_are_refused_by_a_model_that_knows_it(twin: Path, tmp_path: Path) -> None:
    sensor = write(
        tmp_path / "floating.toml",
        """
description = "a sensor that takes gravity off"
acc_unit = "m/s^2"
gyr_unit = "rad/s"
gravity = "removed"
frame = "foot"
[[layouts]]
name = "only"
starts_with = "AccX"
header_lines = 1
rate_hz = 104.0
[layouts.sensor]
acc = [0, 1, 2]
gyr = [3, 4, 5]
""",
    )
    assert_refused(frailedge("replay", twin, "--sensor", sensor, *MAX), "V001.txt", "gravity is removed")


def test_several_files_replay_one_after_the_other(twin: Path, tmp_path: Path) -> None:
    names = ["V002", "V001.2", "V001"]
    (tmp_path / "others").mkdir()
    others = [Path(shutil.copy(twin, tmp_path / "others" / f"{name}.txt")) for name in names]
    result = frailedge("replay", twin, *others, "--rate-hz", "104", "--json", *MAX)
    sensors = [json.loads(line)["sensor"] for line in result.stdout.splitlines()]
    assert list(dict.fromkeys(sensors)) == ["V001", "V002", "V001.2", "V001.3"], "no two files have one topic"
    assert {sensors.count(name) for name in sensors} == {len(sensors) // 4}


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def rows(n_rows: int, make: Callable[[int], str]) -> str:
    return "AccX AccY AccZ GyrX GyrY GyrZ\n" + "\n".join(make(i) for i in range(n_rows)) + "\n"


BAD_FILES: dict[str, tuple[str, str]] = {
    "empty file": ("", "empty"),
    "no recording": ("dear diary\ntoday I walked\nthen I sat\n", ""),
    "only NaN": (rows(500, lambda _: "nan nan nan nan nan nan"), ""),
    "points and commas mixed": (rows(500, lambda i: f"0.1 0,{i} 9.8 0.1 0.2 0.3"), ""),
    "three columns": ("AccX AccY AccZ\n" + "0.1 0.2 9.8\n" * 500, ""),
    "rate that cannot be found": (rows(500, lambda i: f"0.1 0.2 9.8 0.1 0.{i % 7} 0.3"), "--rate-hz"),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_bad_file_is_refused_in_one_line(name: str, tmp_path: Path) -> None:
    text, word = BAD_FILES[name]
    path = write(tmp_path / "V001.txt", text)
    assert_refused(frailedge("replay", path, *MAX), "V001.txt", word)


def test_other_mistakes_are_refused_in_one_line(twin: Path, tmp_path: Path) -> None:
    assert_refused(frailedge("replay", tmp_path / "absent.txt", *MAX), "absent.txt")
    assert_refused(frailedge("replay", twin, "--rate-hz", "104", "--speed", "0"), "--speed")
    assert_refused(frailedge("replay", twin, "--sensor", "nobody", *MAX), "nobody", "xio")
    assert_refused(frailedge("replay", twin, "--rate-hz", "104", "--bundle", tmp_path), str(tmp_path))
    config = write(tmp_path / "mine.toml", "[publish]\nendpont = 'tcp://127.0.0.1:1'\n")
    assert_refused(frailedge("replay", twin, "--config", config), "publish.endpont", "publish.endpoint")


def test_a_bundle_of_another_window_length_is_refused_in_one_line(twin: Path, tmp_path: Path) -> None:
    shipped = load_bundle(default_bundle_dir())
    longer = msgspec.structs.replace(
        shipped.manifest,
        window_samples=256,
        wavelet=msgspec.structs.replace(shipped.manifest.wavelet, level=8, n_coefficients=256),
    )
    models = {name: (shipped.folder / variant.file).read_bytes() for name, variant in longer.variants.items()}
    write_bundle(tmp_path / "longer", longer, models, "card")
    result = frailedge("replay", twin, "--rate-hz", "104", "--bundle", tmp_path / "longer", *MAX)
    assert_refused(result, "longer", "window length")


def test_a_bundle_whose_windows_are_over_before_the_gate_can_judge_them_runs_only_without_it(
    twin: Path, tmp_path: Path
) -> None:
    write_tiny_bundle(tmp_path / "short", sample_rate_hz=200.0)
    short = ("--bundle", tmp_path / "short")
    replayed = ("replay", twin, "--rate-hz", "104", *MAX, *short)
    for command in (("live", "--virtual", *short), replayed):
        assert_refused(frailedge(*command), "tiny", "window_samples is 200, 1 s at 200 Hz", "screen.gate = false")
    config = write(tmp_path / "off.toml", "[screen]\ngate = false\n")
    result = frailedge(*replayed, "--config", config)
    assert result.returncode == 0, result.stderr
    assert re.search("[1-9][0-9]* decisions", result.stderr)


def test_an_occupied_port_is_refused_in_one_line(twin: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as occupied:
        endpoint = f"tcp://127.0.0.1:{occupied.getsockname()[1]}"
        assert_refused(frailedge("replay", twin, "--rate-hz", "104", "--endpoint", endpoint), endpoint)


def test_an_endpoint_beyond_this_machine_is_refused(twin: Path) -> None:
    assert_refused(frailedge("replay", twin, "--rate-hz", "104", "--endpoint", "tcp://0.0.0.0:5556"), "ssh -L")


def test_how_far_the_search_for_the_mounting_has_come_is_told_and_no_stride_counts_before(twin: Path) -> None:
    sent: list[Message] = []
    bundle, classifier = open_model(ModelConfig())
    replay(
        read_recording(twin, rate_hz=104.0),
        bundle,
        classifier,
        sensor="foot",
        speed=200.0,
        screen=ScreenConfig().spec("included"),
        sink=sent.append,
        wait=lambda _: None,
    )
    told = [message for message in sent if isinstance(message, Gait)]
    searching = [message for message in told if message.mounting == "cannot tell"]
    strides = [message.mounting_strides for message in searching]
    assert strides == sorted(set(strides)), "each number once: a message is news"
    assert strides[0] == 0
    assert 5 < strides[-1] < MIN_STRIDES
    assert {message.session.n_strides for message in searching} == {0}
    found = told[len(searching) :]
    assert {message.mounting for message in found} == {"as configured"}
    assert found[-1].session.n_strides > 0
