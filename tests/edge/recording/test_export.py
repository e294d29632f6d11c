"""A session as CSV, Parquet and BIDS: every sample to the bit, in a form that others read."""

import importlib.util
import json
import os
import shutil
import signal
import subprocess
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import msgspec
import numpy as np
import pytest

from edge.bundle import load_bundle
from edge.errors import ConfigError, RecordingError
from edge.export import export
from edge.paths import default_bundle_dir
from edge.recording.recorder import Recorder
from edge.recording.settings import session_info
from edge.records import Record
from edge.sources.files import read_recording
from edge.sources.session import Session, read_session
from firmware_bridge.events import Block
from tests.edge.cli.run import frailedge
from tests.edge.recording.made import (
    WALL_MINUS_MONOTONIC_NS,
    NumberedRecord,
    as_nobody_special,
    record_all,
    recorder,
    sent,
    settings,
)
from tests.full_disk import files_of_at_most

NAME = "20261122T224415Z"
VALIDATOR_VERSION = "1.15.0"


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Session:
    """Two boots, with losses, in files of two seconds: a stretch spans several."""
    folder = tmp_path_factory.mktemp("session")
    made = recorder(folder / "rec", load_bundle(default_bundle_dir(), None), print, rotate_s=2.0)
    record_all(saturated_now_and_then(sent(folder, 6.0, n_boots=2, drop_share=0.1)), made)
    assert len(list((folder / "rec").iterdir())) >= 5
    return read_session(folder / "rec")


def saturated_now_and_then(records: list[NumberedRecord]) -> list[NumberedRecord]:
    """The first sample of every seventh block at the sensor's limit."""

    def with_marks(sequence: int, record: Record) -> Record:
        if not isinstance(record.item, Block) or sequence % 7:
            return record
        block = record.item
        return replace(record, item=replace(block, saturated=np.arange(len(block.samples)) == 0))

    return [(sequence, with_marks(sequence, record)) for sequence, record in records]


def test_a_csv_replays_with_the_description_beside_it_to_the_bit(session: Session, tmp_path: Path) -> None:
    about, *made = export(session.path, "csv", tmp_path / "out").files
    assert [path.name for path in (about, *made)] == [f"{NAME}_left.toml", f"{NAME}_left_1.csv", f"{NAME}_left_2.csv"]
    for path, wanted in zip(made, session.recordings(session.tracks[0]), strict=True):
        found = read_recording(path, sensor=str(about))
        assert found.samples.tobytes() == wanted.samples.tobytes()
        assert found.time_ns.tolist() == wanted.time_ns.tolist()
        assert found.rate_hz == wanted.rate_hz
        assert found.saturated is not None
        assert wanted.saturated is not None
        assert found.saturated.tolist() == wanted.saturated.tolist()
        assert 0 < found.saturated.mean() < 0.1
        assert (found.gravity, found.frame) == (wanted.gravity, wanted.frame)


def test_the_command_names_what_it_made_and_says_what_is_missing(session: Session, tmp_path: Path) -> None:
    first = min(session.path.iterdir())
    (cut := tmp_path / first.name).write_bytes(first.read_bytes()[:-1000])
    result = frailedge("export", cut, "--to", "csv", "--out", tmp_path / "out")
    assert result.returncode == 0, result.stderr
    assert [Path(line).name for line in result.stdout.splitlines()] == [f"{NAME}_left.toml", f"{NAME}_left_1.csv"]
    assert "bytes are damaged" in result.stderr
    assert "part 1 of the session alone" in result.stderr
    with pytest.raises(ConfigError, match="choose csv, parquet, bids"):
        export(session.path, "xls", tmp_path / "x")


def test_bids_motion_has_the_files_columns_and_fields_of_the_specification(session: Session, tmp_path: Path) -> None:
    export(session.path, "bids", tmp_path / "out")
    folder = tmp_path / "out" / "sub-P007" / f"ses-{NAME}" / "motion"
    stems = [f"sub-P007_ses-{NAME}_task-walk_tracksys-left_run-{run}" for run in (1, 2)]
    endings = ("_motion.tsv", "_motion.json", "_channels.tsv", "_channels.json")
    assert {path.name for path in folder.iterdir()} == {stem + ending for stem in stems for ending in endings}
    for stem, wanted in zip(stems, session.recordings(session.tracks[0]), strict=True):
        channels = [line.split("\t") for line in (folder / f"{stem}_channels.tsv").read_text().splitlines()]
        assert channels[0][:5] == ["name", "component", "type", "tracked_point", "units"]
        assert [row[2] for row in channels[1:]] == ["LATENCY", *["ACCEL"] * 3, *["GYRO"] * 3, "MISC"]
        assert channels[-1][0] == "saturated"
        table = np.loadtxt(folder / f"{stem}_motion.tsv", delimiter="\t")  # no header, or this fails
        assert table.shape == (len(wanted.samples), len(channels) - 1)
        assert table[:, 1:7].astype(np.float32).tobytes() == wanted.samples.tobytes()
        assert np.round(table[:, 0] * 1e9).astype(np.int64).tolist() == wanted.time_ns.tolist()
        assert wanted.saturated is not None
        assert table[:, 7].tolist() == wanted.saturated.tolist()
        assert table[:, 7].any()
        about = json.loads((folder / f"{stem}_motion.json").read_text())
        assert about["SamplingFrequency"] == 104.0
        assert about["RecordingDuration"] == pytest.approx(wanted.time_ns[-1] / 1e9)
        assert {"TaskName", "TrackingSystemName", "MotionChannelCount"} <= set(about)
    scans = (folder.parent / f"sub-P007_ses-{NAME}_scans.tsv").read_text().splitlines()
    assert [line.split("\t")[0] for line in scans[1:]] == [f"motion/{stem}_motion.tsv" for stem in stems]
    description = json.loads((tmp_path / "out" / "dataset_description.json").read_text())
    assert {"Name", "BIDSVersion"} <= set(description)


def test_a_run_begins_when_its_first_sample_was_taken_not_when_that_arrived(tmp_path: Path) -> None:
    records = sent(tmp_path, 2.0)
    record_all(records, recorder(tmp_path / "rec", load_bundle(default_bundle_dir(), None), print))
    first = next(record for _, record in records if isinstance(record.item, Block))
    assert first.host_time_ns is not None
    assert first.host_time_ns < first.item.received_ns
    (scans,) = [file for file in export(tmp_path / "rec", "bids", tmp_path / "out").files if "scans" in file.name]
    began = datetime.fromisoformat(scans.read_text().split()[-1])
    assert began.timestamp() == pytest.approx((first.host_time_ns + WALL_MINUS_MONOTONIC_NS) / 1e9, abs=1e-5)


def test_two_sessions_of_a_person_can_be_put_into_one_dataset(session: Session, tmp_path: Path) -> None:
    later = settings(tmp_path / "rec", "left")
    later = msgspec.structs.replace(later, session="20261123T100000Z")
    bundle = load_bundle(default_bundle_dir(), None)
    info = session_info(later, bundle, WALL_MINUS_MONOTONIC_NS)
    record_all(sent(tmp_path, 2.0), Recorder(tmp_path / "rec", info, {0: "left"}, rotate_s=600.0, say=print))
    of_the_person = [
        {file.relative_to(out) for file in export(path, "bids", out).files if file.is_relative_to(out / "sub-P007")}
        for path, out in ((session.path, tmp_path / "one"), (tmp_path / "rec", tmp_path / "other"))
    ]
    assert all(of_the_person)
    assert not of_the_person[0] & of_the_person[1]


def test_only_the_user_may_read_an_export_as_a_recording(session: Session, tmp_path: Path) -> None:
    made = export(session.path, "bids", tmp_path / "out")
    assert {file.stat().st_mode & 0o777 for file in made.files} == {0o600}
    assert (tmp_path / "out").stat().st_mode & 0o777 == 0o700


def test_an_export_that_fails_is_one_line_and_leaves_nothing(session: Session, tmp_path: Path) -> None:
    with files_of_at_most(2000), pytest.raises(RecordingError, match="the export cannot be written: File too large"):
        export(session.path, "csv", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    export(session.path, "csv", tmp_path / "out")
    copy = shutil.copytree(session.path, tmp_path / "rec")
    (locked := tmp_path / "locked").mkdir(mode=0o700)
    closed = [path for path in (tmp_path, *tmp_path.parents) if not path.stat().st_mode & 0o001]
    for path in (copy, *copy.iterdir(), *closed):
        path.chmod(path.stat().st_mode | (0o044 if path.is_file() else 0o055))
    with (
        as_nobody_special(),
        pytest.raises(RecordingError, match=r"locked/out: the export cannot be written: Permission denied"),
    ):
        export(copy, "csv", locked / "out")
    with pytest.raises(RecordingError, match="cannot be written: File name too long"):
        export(session.path, "csv", tmp_path / ("x" * 300))
    with pytest.raises(RecordingError, match="cannot be written: Not a directory"):
        export(session.path, "csv", min(session.path.iterdir()) / "out")


def run_within(seconds: float, *command: str | Path) -> subprocess.CompletedProcess[str]:
    """`subprocess.TimeoutExpired` after so long, whatever processes the command has started by then."""
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        said = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        raise
    return subprocess.CompletedProcess(command, process.returncode, *said)


def bids_validator(cache: Path) -> tuple[str | Path, ...]:
    """The command; the test is skipped where the validator is neither here nor to be had."""
    if (installed := shutil.which("bids-validator")) is not None:
        return (installed,)
    if (npx := shutil.which("npx")) is None:
        pytest.skip("neither bids-validator nor npx is installed")
    command = (npx, "--yes", "--prefer-offline", "--cache", cache, f"bids-validator@{VALIDATOR_VERSION}")
    try:
        tried = run_within(200.0, *command, "--version")
    except subprocess.TimeoutExpired:
        pytest.skip("npx did not get bids-validator within 200 s")
    if tried.returncode or tried.stdout.strip() != VALIDATOR_VERSION:
        pytest.skip(f"npx does not get bids-validator: {tried.stderr.strip()[-200:]}")
    return command


@pytest.mark.soak  # fetching it takes a minute and a half, once
def test_the_bids_validator_finds_no_error(
    session: Session, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config
) -> None:
    kept = pytestconfig.cache
    validator = bids_validator(tmp_path_factory.mktemp("npm") if kept is None else kept.mkdir("npm"))
    export(session.path, "bids", tmp_path / "out")
    result = run_within(60.0, *validator, "--json", tmp_path / "out")
    assert json.loads(result.stdout)["issues"]["errors"] == []
    (next((tmp_path / "out").rglob("*_channels.tsv"))).write_text("name\n")
    result = run_within(60.0, *validator, "--json", tmp_path / "out")
    assert json.loads(result.stdout)["issues"]["errors"], "a validator that finds nothing at all tells nothing"


def test_parquet_holds_every_sample_or_says_what_to_install(session: Session, tmp_path: Path) -> None:
    if importlib.util.find_spec("pyarrow") is None:
        with pytest.raises(ConfigError, match=r"install frailedge\[parquet\]"):
            export(session.path, "parquet", tmp_path / "out")
        assert not (tmp_path / "out").exists()
        return
    parquet = pytest.importorskip("pyarrow.parquet")
    files = export(session.path, "parquet", tmp_path / "out").files
    for path, wanted in zip(files, session.recordings(session.tracks[0]), strict=True):
        table = parquet.read_table(path).to_pydict()
        assert table["acc_x"] == wanted.samples[:, 0].tolist()
        assert np.diff(table["time_ns"]).tolist() == np.diff(wanted.time_ns).tolist()


def test_nothing_is_overwritten_and_nothing_made_of_nothing(session: Session, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    with pytest.raises(ConfigError, match="new or empty"):
        export(session.path, "csv", tmp_path)
    record_all(sent(tmp_path, 1.0)[:2], recorder(tmp_path / "rec", load_bundle(default_bundle_dir(), None), print))
    with pytest.raises(RecordingError, match="nothing to export"):
        export(tmp_path / "rec", "csv", tmp_path / "out")
    assert not (tmp_path / "out").exists()
