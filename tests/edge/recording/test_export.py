"""A session as CSV, Parquet and BIDS: every sample to the bit, in a form that others read."""

import importlib.util
import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from edge.bundle import load_bundle
from edge.errors import ConfigError, RecordingError
from edge.export import export
from edge.paths import default_bundle_dir
from edge.sources.files import read_recording
from edge.sources.session import Session, read_session
from tests.edge.cli.run import frailedge
from tests.edge.recording.made import record_all, recorder, sent

NAME = "20261122T224415Z"


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Session:
    """Two boots, with losses."""
    folder = tmp_path_factory.mktemp("session")
    made = recorder(folder / "rec", load_bundle(default_bundle_dir(), None), print)
    record_all(sent(folder, 6.0, n_boots=2, drop_share=0.1), made)
    return read_session(folder / "rec")


def test_a_csv_replays_with_the_description_beside_it_to_the_bit(session: Session, tmp_path: Path) -> None:
    made = export(session, "csv", tmp_path / "out")
    assert [path.name for path in made] == [f"{NAME}_left_1.csv", f"{NAME}_left_2.csv", f"{NAME}_left.toml"]
    for path, wanted in zip(made, session.recordings(session.tracks[0]), strict=False):
        found = read_recording(path, sensor=str(made[-1]))
        assert found.samples.tobytes() == wanted.samples.tobytes()
        assert found.time_ns.tolist() == wanted.time_ns.tolist()
        assert found.rate_hz == wanted.rate_hz
        assert found.saturated is not None
        assert wanted.saturated is not None
        assert found.saturated.tolist() == wanted.saturated.tolist()
        assert (found.gravity, found.frame) == (wanted.gravity, wanted.frame)


def test_the_command_names_what_it_made_and_says_what_is_missing(session: Session, tmp_path: Path) -> None:
    (cut := tmp_path / f"{NAME}-1.mcap").write_bytes(next(session.path.iterdir()).read_bytes()[:-1000])
    result = frailedge("export", cut, "--to", "csv", "--out", tmp_path / "out")
    assert result.returncode == 0, result.stderr
    assert [Path(line).name for line in result.stdout.splitlines()][-1] == f"{NAME}_left.toml"
    assert "bytes are damaged" in result.stderr
    with pytest.raises(ConfigError, match="choose csv, parquet, bids"):
        export(session, "xls", tmp_path / "x")


def test_bids_motion_has_the_files_columns_and_fields_of_the_specification(session: Session, tmp_path: Path) -> None:
    export(session, "bids", tmp_path / "out")
    folder = tmp_path / "out" / "sub-P007" / "motion"
    stems = [f"sub-P007_task-walk_tracksys-left_run-{run}" for run in (1, 2)]
    endings = ("_motion.tsv", "_motion.json", "_channels.tsv", "_channels.json")
    assert {path.name for path in folder.iterdir()} == {stem + ending for stem in stems for ending in endings}
    for stem, wanted in zip(stems, session.recordings(session.tracks[0]), strict=True):
        channels = [line.split("\t") for line in (folder / f"{stem}_channels.tsv").read_text().splitlines()]
        assert channels[0][:5] == ["name", "component", "type", "tracked_point", "units"]
        assert [row[2] for row in channels[1:]] == ["LATENCY", *["ACCEL"] * 3, *["GYRO"] * 3]
        table = np.loadtxt(folder / f"{stem}_motion.tsv", delimiter="\t")  # no header, or this fails
        assert table.shape == (len(wanted.samples), len(channels) - 1)
        assert table[:, 1:].astype(np.float32).tobytes() == wanted.samples.tobytes()
        assert np.round(table[:, 0] * 1e9).astype(np.int64).tolist() == wanted.time_ns.tolist()
        about = json.loads((folder / f"{stem}_motion.json").read_text())
        assert about["SamplingFrequency"] == 104.0
        assert {"TaskName", "TrackingSystemName", "MotionChannelCount"} <= set(about)
    scans = (tmp_path / "out" / "sub-P007" / "sub-P007_scans.tsv").read_text().splitlines()
    assert [line.split("\t")[0] for line in scans[1:]] == [f"motion/{stem}_motion.tsv" for stem in stems]
    description = json.loads((tmp_path / "out" / "dataset_description.json").read_text())
    assert {"Name", "BIDSVersion"} <= set(description)


def test_the_bids_validator_finds_no_error(session: Session, tmp_path: Path) -> None:
    validator = shutil.which("bids-validator")
    if validator is None:
        pytest.skip("bids-validator (npm) is not installed")
    export(session, "bids", tmp_path / "out")
    result = subprocess.run([validator, "--json", tmp_path / "out"], capture_output=True, text=True, timeout=120)
    assert json.loads(result.stdout)["issues"]["errors"] == []


def test_parquet_holds_every_sample_or_says_what_to_install(session: Session, tmp_path: Path) -> None:
    if importlib.util.find_spec("pyarrow") is None:
        with pytest.raises(ConfigError, match=r"install frailedge\[parquet\]"):
            export(session, "parquet", tmp_path / "out")
        assert list((tmp_path / "out").iterdir()) == []
        return
    parquet = pytest.importorskip("pyarrow.parquet")
    first, second = export(session, "parquet", tmp_path / "out")
    for path, wanted in zip((first, second), session.recordings(session.tracks[0]), strict=True):
        table = parquet.read_table(path).to_pydict()
        assert table["acc_x"] == wanted.samples[:, 0].tolist()
        assert np.diff(table["time_ns"]).tolist() == np.diff(wanted.time_ns).tolist()


def test_nothing_is_overwritten_and_nothing_made_of_nothing(session: Session, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    with pytest.raises(ConfigError, match="new or empty"):
        export(session, "csv", tmp_path)
    empty = Session(session.path, session.info, (), (), ())
    with pytest.raises(RecordingError, match="nothing to export"):
        export(empty, "csv", tmp_path / "out")
