"""A disk that is full, read-only or gone: nothing committed is lost, it is said once, and recording goes on after."""

import dataclasses
import errno
from pathlib import Path

import pytest

from edge.bundle import Bundle, load_bundle
from edge.config import load_config
from edge.errors import ConfigError
from edge.paths import default_bundle_dir
from edge.recording import entries
from edge.recording import recorder as recording_module
from edge.recording.mcap_file import salvage
from edge.recording.recorder import RETRY_EVERY_S, Recorder
from edge.recording.settings import session_info
from edge.sources.session import read_session
from firmware_bridge.events import Block
from tests.edge.recording.made import (
    SECOND_NS,
    START_NS,
    WALL_MINUS_MONOTONIC_NS,
    NumberedRecord,
    as_nobody_special,
    record_all,
    recorder,
    sent,
    settings,
)
from tests.full_disk import files_of_at_most


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return load_bundle(default_bundle_dir(), None)


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> list[NumberedRecord]:
    return sent(tmp_path_factory.mktemp("ring"), 30.0)


def seconds(records: list[NumberedRecord], begin_s: float, end_s: float) -> list[NumberedRecord]:
    def at_s(record: NumberedRecord) -> float:
        return (record[1].item.received_ns - START_NS) / SECOND_NS

    return [record for record in records if begin_s <= at_s(record) < end_s]


def take(made: Recorder, records: list[NumberedRecord]) -> None:
    for sequence, record in records:
        made.take_record(sequence, record)
        made.commit_if_due(record.item.received_ns / SECOND_NS)


def n_samples(records: list[NumberedRecord]) -> int:
    return sum(len(record.item.samples) for _, record in records if isinstance(record.item, Block))


def test_a_full_disk_is_said_once_and_nothing_is_lost_when_there_is_room_again(
    tmp_path: Path, bundle: Bundle, records: list[NumberedRecord]
) -> None:
    said: list[str] = []
    made = recorder(tmp_path / "rec", bundle, said.append)
    take(made, seconds(records, 0, 10))
    (first,) = (tmp_path / "rec").iterdir()
    before = first.read_bytes()
    with files_of_at_most(len(before) + 100):  # a piece of the next chunk fits
        take(made, seconds(records, 10, 11))
        assert made.status.problem
        assert first.read_bytes() == before, "what was committed stays, and nothing half stands behind it"
    with files_of_at_most(10):
        take(made, seconds(records, 11, 20))
    assert len(said) == 1
    assert "cannot record" in said[0]
    assert "the classification goes on" in said[0]
    take(made, seconds(records, 20, 31))
    made.commit(1e9)
    made.close()
    assert said[1:] == ["recording again"]
    assert made.status.problem == ""
    session = read_session(tmp_path / "rec")
    assert len(session.tracks[0].samples) == n_samples(records) == made.status.n_samples
    assert session.losses == ()


def test_what_a_disk_had_no_room_for_too_long_is_counted_exactly(
    tmp_path: Path, bundle: Bundle, records: list[NumberedRecord], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recording_module, "MAX_PENDING", 200)
    said: list[str] = []
    made = recorder(tmp_path / "rec", bundle, said.append)
    take(made, seconds(records, 0, 5))
    with files_of_at_most(1000):
        take(made, seconds(records, 5, 25))
    take(made, seconds(records, 25, 31))
    made.commit(1e9)
    made.close()
    status = made.status
    session = read_session(tmp_path / "rec")
    n_read = len(session.tracks[0].samples)
    assert n_read < n_samples(records)
    assert n_read + status.n_unrecorded_samples == n_samples(records)
    assert any("records were not recorded" in line for line in said)
    (told,) = [loss for loss in session.losses if "while live ran" in loss]
    assert f"with {status.n_unrecorded_samples} samples" in told
    assert "the disk refused" in told
    (holes,) = [loss for loss in session.losses if "are missing" in loss]
    assert "in 1 place" in holes


def test_a_folder_that_cannot_be_is_said_once_and_tried_again(
    tmp_path: Path, bundle: Bundle, records: list[NumberedRecord]
) -> None:
    said: list[str] = []
    (tmp_path / "rec").write_text("a file where the folder should be")
    made = recorder(tmp_path / "rec", bundle, said.append)
    take(made, seconds(records, 0, 12))
    assert len(said) == 1
    (tmp_path / "rec").unlink()
    take(made, seconds(records, 12, 12 + 2 * RETRY_EVERY_S))
    assert said[1:] == ["recording again"]
    assert made.status.n_samples > n_samples(seconds(records, 0, 12))


def test_a_read_only_folder_is_said_once(tmp_path: Path, bundle: Bundle, records: list[NumberedRecord]) -> None:
    said: list[str] = []
    (tmp_path / "rec").mkdir(mode=0o500)
    with as_nobody_special():
        take(recorder(tmp_path / "rec", bundle, said.append), seconds(records, 0, 12))
    assert len(said) == 1
    assert "Permission denied" in said[0]


def test_what_still_waits_at_the_end_is_counted_and_the_session_has_no_end_mark(
    tmp_path: Path, bundle: Bundle, records: list[NumberedRecord]
) -> None:
    said: list[str] = []
    made = recorder(tmp_path / "rec", bundle, said.append)
    take(made, seconds(records, 0, 20))
    with files_of_at_most(1000):
        take(made, seconds(records, 20, 31))
        made.close()
    status = made.status
    assert status.has_ended
    assert status.n_unrecorded > status.n_unrecorded_samples / 19 > 0
    assert status.n_samples + status.n_unrecorded_samples == n_samples(records)
    assert "cannot record" in status.problem
    (file,) = (tmp_path / "rec").iterdir()
    assert status.n_bytes == file.stat().st_size
    assert entries.END_TOPIC not in {message.topic for message in salvage(file.read_bytes()).messages}


def test_a_disk_that_turns_read_only_before_the_first_commit_does_not_end_the_recorder(
    tmp_path: Path, bundle: Bundle, records: list[NumberedRecord], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: Path, *, missing_ok: bool = False) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    record_all(seconds(records, 0, 1), recorder(tmp_path / "one", bundle, print))
    (one,) = (tmp_path / "one").iterdir()
    said: list[str] = []
    made = recorder(tmp_path / "rec", bundle, said.append)
    until_the_first_chunk = one.read_bytes().index(b"zstd")
    with monkeypatch.context() as patched, files_of_at_most(until_the_first_chunk):
        patched.setattr(Path, "unlink", refuse)
        take(made, seconds(records, 0, 1))
    assert len(said) == 1
    (left,) = (tmp_path / "rec").iterdir()
    assert left.stat().st_size > 0, "the file was begun, and could not be removed"
    take(made, seconds(records, 1, 10))
    made.close()
    assert made.status.n_samples == n_samples(seconds(records, 0, 10))


def test_a_disk_that_is_full_from_the_start_leaves_no_empty_files(
    tmp_path: Path, bundle: Bundle, records: list[NumberedRecord]
) -> None:
    made = recorder(tmp_path / "rec", bundle, lambda _: None)
    with files_of_at_most(10):
        take(made, seconds(records, 0, 12))
    assert list((tmp_path / "rec").iterdir()) == []


def test_a_file_that_was_begun_and_taken_away_again_counts_for_nothing(
    tmp_path: Path, bundle: Bundle, records: list[NumberedRecord]
) -> None:
    record_all(seconds(records, 0, 1), recorder(tmp_path / "one", bundle, print))
    (one,) = (tmp_path / "one").iterdir()
    made = recorder(tmp_path / "rec", bundle, lambda _: None)
    with files_of_at_most(one.read_bytes().index(b"zstd")):
        take(made, seconds(records, 0, 1))
    assert list((tmp_path / "rec").iterdir()) == []
    assert made.status.n_bytes == 0


def test_a_second_recorder_of_a_run_counts_what_the_first_left_and_nothing_of_other_runs(
    tmp_path: Path, bundle: Bundle, records: list[NumberedRecord]
) -> None:
    take(recorder(tmp_path / "rec", bundle, print, rotate_s=4.0), seconds(records, 0, 10))  # and killed
    record_all(seconds(records, 0, 5), recorder(tmp_path / "rec", bundle, print, run_token="0ddba115"))
    earlier = list((tmp_path / "rec").glob("*-0c0ffee0-*"))
    assert len(earlier) > 1
    made = recorder(tmp_path / "rec", bundle, print)
    assert made.status.had_lives
    assert made.status.n_bytes == sum(file.stat().st_size for file in earlier)
    take(made, seconds(records, 10, 31))
    made.close()
    assert made.status.n_bytes == sum(file.stat().st_size for file in (tmp_path / "rec").glob("*-0c0ffee0-*"))


def test_what_earlier_recorders_left_on_a_disk_that_is_away_is_counted_when_it_is_back(
    tmp_path: Path, bundle: Bundle, records: list[NumberedRecord]
) -> None:
    folder = tmp_path / "rec"
    take(recorder(folder, bundle, print), seconds(records, 0, 10))
    (earlier,) = folder.iterdir()
    folder.rename(tmp_path / "away")
    folder.write_text("no folder")
    made = recorder(folder, bundle, lambda _: None)
    take(made, seconds(records, 10, 12))
    assert not made.status.had_lives
    folder.unlink()
    (tmp_path / "away").rename(folder)
    take(made, seconds(records, 12, 31))
    made.close()
    assert made.status.had_lives
    assert made.status.n_bytes > earlier.stat().st_size
    assert made.status.n_bytes == sum(file.stat().st_size for file in folder.iterdir())


def test_files_rotate_by_time_and_every_one_is_finished(
    tmp_path: Path, bundle: Bundle, records: list[NumberedRecord]
) -> None:
    record_all(records, recorder(tmp_path / "rec", bundle, print, rotate_s=10.0))
    files = sorted(path.name for path in (tmp_path / "rec").iterdir())
    assert files == [f"20261122T224415Z-0c0ffee0-{part}.mcap" for part in (1, 2, 3)]
    session = read_session(tmp_path / "rec")
    assert session.losses == ()
    assert len(session.tracks[0].samples) == n_samples(records)


def test_two_feet_in_one_session_come_back_each_by_itself(
    tmp_path: Path, bundle: Bundle, records: list[NumberedRecord]
) -> None:
    names = {0: "left", 1: "right"}
    info = session_info(settings(tmp_path / "rec", *names.values()), bundle, WALL_MINUS_MONOTONIC_NS)
    made = Recorder(tmp_path / "rec", info, names, rotate_s=10.0, say=print)
    both = [
        (2 * sequence + foot, dataclasses.replace(record, stream_id=foot))
        for sequence, record in records
        for foot in names
    ]
    record_all(both, made)
    session = read_session(tmp_path / "rec")
    assert session.losses == ()
    left, right = session.tracks
    assert (left.sensor, right.sensor) == ("left", "right")
    assert left.samples.tobytes() == right.samples.tobytes()
    assert len(left.samples) == n_samples(records)


def test_records_that_were_gone_from_the_ring_are_told_in_the_file(
    tmp_path: Path, bundle: Bundle, records: list[NumberedRecord]
) -> None:
    made = recorder(tmp_path / "rec", bundle, print)
    made.count_overwritten(40)
    record_all(records[40:], made)
    losses = read_session(tmp_path / "rec").losses
    assert any("40 records" in loss and "overwritten in the ring" in loss for loss in losses)
    assert any("40 records are missing in 1 place" in loss for loss in losses)
    assert made.status.n_overwritten == 40


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"record.rotate_minutes": -1}, "record.rotate_minutes"),
        ({"record.person": "Jane Doe"}, "pseudonym"),
        ({"record.on": True, "record.directory": ""}, "record.directory"),
    ],
)
def test_a_wrong_value_is_refused(values: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        load_config(None, values)
