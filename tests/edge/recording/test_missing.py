"""What a session lost is told, in words for its user: parts, its end, records, messages; and two runs are never one."""

import shutil
from pathlib import Path

import msgspec
import numpy as np
import pytest

from edge.bundle import Bundle, load_bundle
from edge.errors import RecordingError
from edge.messages import Health
from edge.paths import default_bundle_dir
from edge.recording.entries import EndEntry, LinkEntry, RestartEntry
from edge.recording.recorder import Recorder
from edge.recording.recover import recover
from edge.sources.session import read_session
from edge.sources.session_reader import SessionReader
from tests.edge.recording.made import START_NS, NumberedRecord, record_all, recorder, sent
from tests.edge.recording.made import WALL_MINUS_MONOTONIC_NS as WALL_NS
from tests.edge.recording.session_log import read_messages

PART_S = 3.0
ONE_HEALTH_S = 0.5


def health(sequence: int, boot_id: str) -> Health:
    """One that says nothing but which it is."""
    empty: dict[object, object] = {int: 0, float: 0.0, str: "", int | None: None}
    fields: dict[str, object] = {
        field.name: empty.get(field.type, {}) for field in msgspec.structs.fields(Health) if field.required
    }
    return msgspec.convert(fields | {"sensor": "left", "sequence": sequence, "boot_id": boot_id}, Health)


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return load_bundle(default_bundle_dir(), None)


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> list[NumberedRecord]:
    return sent(tmp_path_factory.mktemp("ring"), 5 * PART_S - 1.0)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, bundle: Bundle, records: list[NumberedRecord]) -> Path:
    """A session of five parts, with a message each half second, of a publisher that began anew once."""
    folder = tmp_path_factory.mktemp("whole") / "rec"
    made = recorder(folder, bundle, print, rotate_s=PART_S)
    told = {"first": 0, "second": 0}
    for sequence, record in records:
        made.take_record(sequence, record)
        now_ns = record.item.received_ns
        if now_ns - START_NS >= sum(told.values()) * ONE_HEALTH_S * 1e9:
            life = "first" if now_ns - START_NS < 4 * PART_S * 1e9 else "second"
            made.take_message(health(told[life], life), now_ns)
            told[life] += 1
        made.commit_if_due(now_ns / 1e9)
    made.close()
    assert read_session(folder).losses == ()
    assert min(told.values()) > 3
    return folder


def copied(whole: Path, folder: Path, *parts: int) -> Path:
    (out := folder / "rec").mkdir()
    for part in parts:
        (file,) = whole.glob(f"*-{part}.mcap")
        shutil.copy(file, out)
    return out


@pytest.mark.parametrize(
    ("parts", "told", "records_are_missing"),
    [
        ((2, 3, 4, 5), ("part 1 of the session is missing",), False),
        ((4, 5), ("parts 1 to 3 of the session are missing",), False),
        ((1, 2, 4, 5), ("part 3 of the session is missing",), True),
        ((1, 5), ("parts 2 to 4 of the session are missing",), True),
        ((1, 2, 3, 4), ("the session's end is missing: what followed part 4 is not here",), False),
        (
            (2,),
            ("part 1 of the session is missing", "the session's end is missing: what followed part 2 is not here"),
            False,
        ),
    ],
)
def test_missing_parts_are_told_by_their_numbers(
    whole: Path, tmp_path: Path, parts: tuple[int, ...], told: tuple[str, ...], records_are_missing: bool
) -> None:
    folder = copied(whole, tmp_path, *parts)
    losses = read_session(folder).losses
    assert losses[: len(told)] == told
    assert any("records are missing in 1 place" in loss for loss in losses) == records_are_missing
    log = read_messages(folder, (Health,))
    assert log.losses == losses
    assert log.parts == parts


def test_a_part_that_is_named_alone_is_no_whole_session(whole: Path) -> None:
    first, second, last = (next(whole.glob(f"*-{part}.mcap")) for part in (1, 2, 5))
    for file, told in (
        (first, "part 1 of the session alone: what came after it is not here"),
        (second, "part 2 of the session alone: what came before and after it is not here"),
        (last, "part 5 of the session alone: what came before it is not here"),
    ):
        assert read_session(file).losses == (told,)


def test_records_that_the_end_counts_and_no_file_holds_are_told(
    tmp_path: Path, bundle: Bundle, records: list[NumberedRecord], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = recorder(tmp_path, bundle, print)
    n_records = len(records[:60])
    monkeypatch.setattr("edge.recording.recorder.EndEntry", lambda n_records: EndEntry(n_records=n_records + 7))
    record_all(records[:60], made)
    assert records[59][0] == n_records - 1
    assert read_session(tmp_path).losses == ("7 records are missing in 1 place",)


def test_two_runs_of_the_same_second_are_never_read_as_one(
    tmp_path: Path, bundle: Bundle, records: list[NumberedRecord]
) -> None:
    record_all(records[:200], recorder(tmp_path / "one", bundle, print))
    record_all(records, recorder(tmp_path / "other", bundle, print, run_token="deadbeef", rotate_s=PART_S))
    (one,) = (tmp_path / "one").iterdir()
    other = next((tmp_path / "other").glob("*-2.mcap"))
    shutil.copy(other, one.with_name(one.name.replace("-1.mcap", "-2.mcap")))  # whoever gives it that name
    with pytest.raises(RecordingError, match=r"is of another run than .*: put each into a folder of its own"):
        read_session(tmp_path / "one")
    shutil.copy(other, tmp_path / "one")
    with pytest.raises(RecordingError, match="holds 2 sessions"):
        read_session(tmp_path / "one")
    assert read_session(tmp_path / "other").losses == ()


def test_files_whose_numbers_were_changed_are_refused_and_not_mixed_up(whole: Path, tmp_path: Path) -> None:
    folder = copied(whole, tmp_path, 1, 2)
    first, second = sorted(folder.iterdir())
    kept = first.rename(tmp_path / "kept")
    second.rename(first)
    kept.rename(second)
    with pytest.raises(RecordingError, match="holds part 1 of its session: give it its old name"):
        read_session(folder)


def test_messages_that_were_published_and_not_recorded_are_told_for_each_life_of_the_publisher(
    tmp_path: Path, bundle: Bundle, records: list[NumberedRecord]
) -> None:
    made = recorder(tmp_path, bundle, print)
    for life, kept in (("first", (0, 1, 4, 5)), ("second", (1, 2))):
        for sequence in kept:
            made.take_message(health(sequence, life), START_NS)
    record_all(records[:60], made)
    told = "sensor left: 3 of 9 health messages were published and are not recorded"
    assert read_session(tmp_path).losses == (told,)
    assert read_messages(tmp_path, ()).losses == (told,), "messages that nobody asked for count too"


def test_messages_come_with_the_monotonic_time_at_which_they_were_heard_whatever_the_wall_clock_did(
    tmp_path: Path, bundle: Bundle, records: list[NumberedRecord], whole: Path
) -> None:
    heard_ns = (START_NS + 5, START_NS + 1_000_000_005)
    for sequence, received_ns in enumerate(heard_ns):
        made = recorder(tmp_path, bundle, print)
        if sequence:  # the clock was set by 40 days between two lives of the recorder
            made._info = msgspec.structs.replace(
                made._info, wall_minus_monotonic_ns=WALL_NS + 40 * 24 * 3600 * 1_000_000_000
            )
        made.take_message(health(sequence, "one"), received_ns)
        record_all([one for one in records if one[0] // 60 == sequence], made)
    log = read_messages(tmp_path, (Health,))
    assert [one.received_ns for one in log.messages] == list(heard_ns)
    assert log.losses == ()


def killed(made: Recorder, records: list[NumberedRecord]) -> None:
    """Committed, and never heard of again."""
    for sequence, record in records:
        made.take_record(sequence, record)
    made.commit(0.0)


def test_a_killed_recorders_file_is_no_loss_where_the_next_one_goes_on(
    tmp_path: Path, bundle: Bundle, records: list[NumberedRecord]
) -> None:
    killed(recorder(tmp_path, bundle, print), records[:60])
    last = "part 1 was not finished, so up to one second is lost, or what followed it is not here"
    assert read_session(tmp_path).losses == (f"the session's end is missing: {last}",)
    record_all(records[50:], recorder(tmp_path, bundle, print))  # ten records again: they were not yet committed
    session = read_session(tmp_path)
    assert session.losses == ()
    assert len(session.tracks[0].samples) == len(set(session.tracks[0].time_ns.tolist()))


def test_an_empty_file_that_a_kill_left_is_no_missing_part(
    tmp_path: Path, bundle: Bundle, records: list[NumberedRecord]
) -> None:
    killed(recorder(tmp_path, bundle, print), records[:60])
    (file,) = tmp_path.iterdir()
    file.with_name(file.name.replace("-1.mcap", "-2.mcap")).touch()
    record_all(records[60:], recorder(tmp_path, bundle, print))
    assert len(list(tmp_path.iterdir())) == 3
    assert read_session(tmp_path).losses == ()


def test_what_live_could_not_record_is_told_once_where_a_recovered_copy_lies_beside_the_file(
    tmp_path: Path, bundle: Bundle, records: list[NumberedRecord]
) -> None:
    made = recorder(tmp_path, bundle, print)
    made.count_overwritten(40)
    killed(made, records[40:])
    (file,) = tmp_path.iterdir()
    before = read_session(tmp_path)
    recover(file, file.with_name(f"{file.stem}-recovered.mcap"))
    after = read_session(tmp_path)
    assert sum("while live ran" in loss for loss in before.losses) == 1
    assert [loss for loss in after.losses if "end" not in loss] == [loss for loss in before.losses if "end" not in loss]
    assert after.tracks[0].samples.tobytes() == before.tracks[0].samples.tobytes()


def test_a_light_reader_holds_no_samples_and_no_more_than_two_files(whole: Path) -> None:
    light = [part.entries for part in SessionReader(whole, whole_records=False)]
    heavy = [part.entries for part in SessionReader(whole)]
    numbers = [[entry.ring_sequence for entry in part] for part in heavy]
    assert [[entry.ring_sequence for entry in part] for part in light] == numbers
    assert np.concatenate(numbers).tolist() == list(range(sum(map(len, numbers))))
    assert all(numbers[1:]), "a part is handed on when the next one is there"
    assert not any(isinstance(entry, LinkEntry | RestartEntry) for part in light for entry in part)
    assert read_messages(whole, (Health,)).messages[0].message == health(0, "first")
