"""What was recorded replays as it was live: the same predictions and decisions, restarts and gaps included."""

import base64
import contextlib
import dataclasses
import io
import itertools
import json
import os
import pty
import subprocess
import sys
from collections import Counter
from pathlib import Path

import jsonschema
import msgspec
import numpy as np
import pytest
from mcap.reader import make_reader

from edge.bundle import Bundle
from edge.cli import replay
from edge.config import ModelConfig
from edge.errors import RecordingError
from edge.infer import Inference
from edge.messages import STAGES, Decision, Gait, Message, Prediction, Signal, determined
from edge.messages import Gap as GapMessage
from edge.model import Classifier
from edge.opening import open_model
from edge.recording import entries
from edge.recording.files import is_session
from edge.recording.recorder import Recorder
from edge.recording.settings import session_configuration, session_info
from edge.records import LinkStatus
from edge.replay_session import begun_anew_s, replay_session
from edge.sources.session import Session, read_session
from firmware_bridge.events import Block
from tests.edge.cli.run import assert_refused, frailedge
from tests.edge.recording.made import START_NS, NumberedRecord, live, record_all, recorder, sent, settings
from tests.edge.recording.session_log import read_messages
from tests.edge.results import is_result
from tests.edge.test_messages import EXAMPLES


@pytest.fixture(scope="module")
def model() -> tuple[Bundle, Classifier]:
    return open_model(ModelConfig(variant="dynamic"))  # the quicker one


def replayed(session: Session, model: tuple[Bundle, Classifier], speed: float | None) -> list[Message]:
    messages: list[Message] = []
    screen = session_configuration(session.info).screen
    replay_session(session, *model, speed=speed, screen=screen, sink=messages.append, wait=lambda _: None)
    return messages


def compared(messages: list[Message]) -> list[bytes]:
    """All that follows from the samples, as bytes, in order."""
    kinds = (Prediction, Decision, Signal, Gait, GapMessage)
    return [msgspec.json.encode(determined(message)) for message in messages if isinstance(message, kinds)]


def blocks(records: list[NumberedRecord]) -> list[Block]:
    return [record.item for _, record in records if isinstance(record.item, Block)]


@pytest.fixture(scope="module")
def walk_with_losses(
    tmp_path_factory: pytest.TempPathFactory, model: tuple[Bundle, Classifier]
) -> tuple[list[NumberedRecord], list[Message], Path]:
    """Two boots of a sensor that loses some of its packets, classified live and recorded, in files of 8 seconds."""
    folder = tmp_path_factory.mktemp("session")
    records = sent(folder, 20.0, n_boots=2, drop_share=0.02)
    messages: list[Message] = []
    recording = recorder(folder / "rec", model[0], print, rotate_s=8.0)

    def sink(message: Message) -> None:
        sequence = sum(type(other) is type(message) for other in messages)
        stamped = msgspec.structs.replace(message, boot_id="b", sequence=sequence, time_s=1.5)
        messages.append(stamped)
        recording.take_message(stamped, 5)

    live(records, *model, sink, also=recording)
    recording.commit(1e9)
    recording.close()
    return records, messages, folder / "rec"


@pytest.mark.parametrize("speed", [None, 50.0])
def test_a_session_replays_byte_for_byte_as_it_was_live_at_any_speed(
    walk_with_losses: tuple[list[NumberedRecord], list[Message], Path],
    model: tuple[Bundle, Classifier],
    speed: float | None,
) -> None:
    _, messages, folder = walk_with_losses
    session = read_session(folder)
    assert session.losses == ()
    again = replayed(session, model, speed)
    assert compared(again) == compared(messages)
    assert sum(map(is_result, messages)) >= 20
    assert len({message.stretch for message in messages if isinstance(message, Prediction)}) >= 2


def live_in_lives(
    records: list[NumberedRecord], model: tuple[Bundle, Classifier], recording: Recorder, *begins_s: float
) -> list[Message]:
    """Inference that was killed at these times of the session, each life in mid-stream where the last one ended."""
    messages: list[Message] = []
    counts: Counter[tuple[str, str]] = Counter()
    boot_id, at_ns = "", 0

    def sink(message: Message) -> None:
        key = boot_id, type(message).__name__
        stamped = msgspec.structs.replace(message, boot_id=boot_id, sequence=counts[key])
        counts[key] += 1
        messages.append(stamped)
        recording.take_message(stamped, at_ns)

    inference = None
    remaining_s = [0.0, *begins_s]
    for sequence, record in records:
        at_ns = record.item.received_ns
        if inference is None or (remaining_s and at_ns >= START_NS + remaining_s[0] * 1e9):
            remaining_s.pop(0)
            boot_id = str(len(remaining_s))
            of_it = settings(Path(), "left"), "left", *model, sink
            inference = Inference(*of_it, is_first_life=not messages)
        inference.take(record)
        if isinstance(record.item, LinkStatus):
            inference.publish_health(0)
        recording.take_record(sequence, record)
    assert inference is not None
    inference.finish()
    recording.commit(0.0)
    recording.close()
    return messages


@pytest.mark.parametrize(
    ("begins_s", "told_s"),
    [
        ((), ()),
        ((6.5, 9.5), (7, 10)),  # with the next status, each second
        ((1.5,), (2,)),  # before the first decision: it took samples, which the next one lacked
    ],
)
def test_a_replay_says_from_when_on_live_s_decisions_were_others(
    tmp_path: Path,
    model: tuple[Bundle, Classifier],
    capsys: pytest.CaptureFixture[str],
    begins_s: tuple[float, ...],
    told_s: tuple[int, ...],
) -> None:
    records = sent(tmp_path, 14.0)
    was_live = live_in_lives(records, model, recorder(tmp_path / "rec", model[0], print), *begins_s)
    replay.command([tmp_path / "rec"], variant="dynamic", publish=False, speed="max")
    lines = [line for line in capsys.readouterr().err.splitlines() if "anew" in line]
    others = "live's decisions from there on were others"
    assert lines == [f"rec: inference began anew at {at_s} s: {others}" for at_s in told_s]
    session = read_session(tmp_path / "rec")
    told, again = (
        [determined(message) for message in messages if isinstance(message, Decision)]
        for messages in (was_live, replayed(session, model, None))
    )
    n_same = next((i for i, (one, other) in enumerate(zip(told, again, strict=False)) if one != other), len(told))
    if not told_s:
        assert told == again
    else:
        assert all(decision not in again for decision in told[n_same:])
        begins = [message.boot_id for message in was_live if isinstance(message, Decision)]
        assert begins[:n_same].count(begins[0]) == n_same, "what the first inference decided is the same"


def test_an_inference_that_died_before_any_sample_came_changed_nothing(
    tmp_path: Path, model: tuple[Bundle, Classifier]
) -> None:
    records = sent(tmp_path, 5.0)
    live_in_lives(records, model, recorder(tmp_path / "rec", model[0], print), 0.001)
    assert begun_anew_s(read_session(tmp_path / "rec")) == []


def test_the_published_messages_come_back_as_they_were(
    walk_with_losses: tuple[list[NumberedRecord], list[Message], Path],
) -> None:
    _, messages, folder = walk_with_losses
    kinds = (Prediction, Decision, Gait)
    found = [published.message for published in read_messages(folder, kinds).messages]
    assert found == [message for message in messages if isinstance(message, kinds)]
    assert {type(message) for message in found} == set(kinds)


def test_every_sample_comes_back_to_the_bit_and_every_file_opens_by_itself(
    walk_with_losses: tuple[list[NumberedRecord], list[Message], Path],
) -> None:
    records, _, folder = walk_with_losses
    (track,) = read_session(folder).tracks
    wanted = blocks(records)
    assert track.samples.tobytes() == np.concatenate([block.samples for block in wanted]).tobytes()
    assert track.time_ns.tolist() == np.concatenate([block.device_time_ns for block in wanted]).tolist()
    assert track.saturated.tolist() == np.concatenate([block.saturated for block in wanted]).tolist()
    assert len(track.segments()) == 2
    files = sorted(folder.iterdir())
    assert len(files) >= 4
    parts = [read_session(file) for file in files]
    assert sum(len(part.tracks[0].samples) for part in parts) == len(track.samples)
    assert {part.tracks[0].rate_hz for part in parts} == {104.0}


def test_any_mcap_reader_opens_the_files_and_finds_what_the_schemas_say(
    walk_with_losses: tuple[list[NumberedRecord], list[Message], Path],
) -> None:
    _, _, folder = walk_with_losses
    seen: dict[str, int] = {}
    for file in sorted(folder.iterdir()):
        reader = make_reader(io.BytesIO(file.read_bytes()), validate_crcs=True)
        for schema, channel, message in reader.iter_messages():
            assert schema is not None
            assert (schema.encoding, channel.message_encoding) == ("jsonschema", "json")
            if channel.topic not in seen:
                jsonschema.validate(json.loads(message.data), json.loads(schema.data))
            seen[channel.topic] = seen.get(channel.topic, 0) + 1
        (metadata,) = reader.iter_metadata()
        assert json.loads(metadata.metadata["session"])["person"] == "P007"
    for name in ("samples", "signal", "gap", "restart", "link", "prediction", "decision"):
        assert seen[f"{name}/left/"] > 0
    assert seen["session/"] == len(list(folder.iterdir()))


def assert_foxglove_reads(schema: dict[str, object]) -> None:
    """The rules of Foxglove's reader: an object with properties, and one known type a field."""
    assert schema["type"] == "object"
    properties = schema["properties"]
    assert isinstance(properties, dict)
    assert properties, "an object without a field described has nothing to plot"
    for field in properties.values():
        assert field["type"] in {"boolean", "string", "number", "integer", "object", "array"}
        assert field.get("contentEncoding", "base64") == "base64"
        if field["type"] == "object":
            assert_foxglove_reads(field)
        if field["type"] == "array":
            assert field["items"]["type"] in {"boolean", "string", "number", "integer", "object"}
            if field["items"]["type"] == "object":
                assert_foxglove_reads(field["items"])


def test_every_schema_is_one_that_foxglove_reads(
    walk_with_losses: tuple[list[NumberedRecord], list[Message], Path],
) -> None:
    info = read_session(walk_with_losses[2]).info
    for _, schema in entries.schemas(info).values():
        assert_foxglove_reads(json.loads(schema))


def test_the_schemas_name_each_class_and_stage_so_that_viewers_offer_them_to_plot(
    walk_with_losses: tuple[list[NumberedRecord], list[Message], Path], model: tuple[Bundle, Classifier]
) -> None:
    """And what is recorded has no field that its schema does not name."""
    n_plotted = 0
    for file in sorted((walk_with_losses[2]).glob("*.mcap")):
        for schema, channel, message in make_reader(io.BytesIO(file.read_bytes())).iter_messages():
            assert schema is not None
            properties = json.loads(schema.data)["properties"]
            for name, value in json.loads(message.data).items():
                if isinstance(value, dict) and channel.topic.split("/")[0] in {"prediction", "decision"}:
                    assert value.keys() <= properties[name]["properties"].keys()
                    n_plotted += 1
            if channel.topic.startswith("prediction/"):
                assert tuple(properties["probabilities"]["properties"]) == model[0].manifest.labels
                assert set(properties["latency_ms"]["properties"]) == set(STAGES)
    assert n_plotted > 20


@pytest.mark.parametrize("told", EXAMPLES, ids=lambda message: type(message).__name__)
def test_a_message_is_read_as_it_was_recorded_and_fits_its_schema(told: Message) -> None:
    """Also where strides have no length: what is null is left out, in lists too."""
    data = entries.encode(told)
    assert b"null" not in data
    jsonschema.validate(json.loads(data), json.loads(entries.schema(type(told), ("robust", "frail"))))
    assert entries.decode_message(type(told), data) == told


def test_a_block_stands_in_the_file_as_plain_base64(tmp_path: Path) -> None:
    records = sent(tmp_path, 1.0)
    sequence, record = next((n, record) for n, record in records if isinstance(record.item, Block))
    data = json.loads(entries.encode(entries.entry_of(record, "left", sequence, rate_hz=104.0, boot_id=3)))
    assert isinstance(record.item, Block)
    values = np.frombuffer(base64.b64decode(data["samples"]), "<f4").reshape(-1, 6)
    assert values.tolist() == record.item.samples.tolist()


def test_several_sessions_in_a_folder_have_to_be_told_apart(tmp_path: Path, model: tuple[Bundle, Classifier]) -> None:
    record_all(sent(tmp_path, 2.0), recorder(tmp_path / "rec", model[0], print))
    (file,) = (tmp_path / "rec").iterdir()
    other = file.with_name("20261123T000000Z-0c0ffee0-1.mcap")
    other.write_bytes(file.read_bytes())
    with pytest.raises(RecordingError, match=r"holds 2 sessions; name one, such as .*20261123T000000Z"):
        read_session(tmp_path / "rec")
    assert len(read_session(tmp_path / "rec" / "20261122T224415Z").tracks[0].samples) > 100


@pytest.mark.parametrize("content", [b"", b"no MCAP at all", b"\x89MCAP0\r\n" + bytes(100)])
def test_what_is_no_session_is_refused_in_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.mcap"
    path.write_bytes(content)
    with pytest.raises(RecordingError, match="holds nothing of a session"):
        read_session(path)
    with pytest.raises(RecordingError, match="no such file"):
        read_session(tmp_path / "nowhere")


def test_a_replay_of_a_session_shows_on_a_terminal_how_far_it_is(
    walk_with_losses: tuple[list[NumberedRecord], list[Message], Path],
) -> None:
    session = read_session(walk_with_losses[2])
    ours, terminal = pty.openpty()
    command = [sys.executable, "-m", "edge", "replay", str(session.path), "--no-publish", "--speed", "max"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=terminal, env={**os.environ, "TERM": "xterm"}):
        os.close(terminal)
        shown = b""
        with contextlib.suppress(OSError), os.fdopen(ours, "rb", buffering=0) as screen:  # EIO: nobody writes any more
            while more := screen.read(4096):
                shown += more
    assert session.duration_s > 35.0
    assert f"{session.duration_s:.0f} of {session.duration_s:.0f} s".encode() in shown


@pytest.mark.parametrize("name", ["x" * 300, f"{'x' * 300}.csv", f"{'x' * 300}/walk.csv"])
def test_a_path_that_cannot_be_looked_at_is_one_line(tmp_path: Path, name: str) -> None:
    assert_refused(frailedge("replay", tmp_path / name, "--no-publish"), "cannot be read: File name too long")


def test_a_session_is_told_from_other_recordings_by_its_path(
    walk_with_losses: tuple[list[NumberedRecord], list[Message], Path], tmp_path: Path
) -> None:
    folder = walk_with_losses[2]
    name = "20261122T224415Z"
    for path in (folder, folder / name, folder / f"{name}-0c0ffee0", min(folder.iterdir()), tmp_path / "no.mcap"):
        assert is_session(path)
    for path in (folder / "20261122T224416Z", folder / name[:-1], tmp_path / "walk.csv", tmp_path / "no" / "walk.csv"):
        assert not is_session(path)


def test_two_feet_replayed_are_told_by_name_each_where_its_own_decision_changes(
    tmp_path: Path, model: tuple[Bundle, Classifier]
) -> None:
    """The same walk on both: the second foot's decisions are told as well."""
    names = {0: "left", 1: "right"}
    info = session_info(settings(tmp_path / "rec", *names.values()), model[0], 0)
    recording = Recorder(tmp_path / "rec", info, names, rotate_s=600.0, say=print)
    records = sent(tmp_path, 40.0)
    late = [(at, dataclasses.replace(record, stream_id=1)) for at, record in records]
    record_all([*records, *((len(records) + at, record) for at, record in late)], recording)
    told = frailedge("replay", tmp_path / "rec", "--speed", "max", "--variant", "dynamic", "--no-publish")
    assert told.returncode == 0, told.stderr
    lines = [line.split() for line in told.stdout.splitlines()]
    left, right = ([line[:2] + line[3:] for line in lines if line[2] == name] for name in names.values())
    assert left == right
    assert len(left) + len(right) == len(lines)
    assert all(one != other for one, other in itertools.pairwise(line[3] for line in left))
    assert len(left) > 0
