"""What a session's files are called and say of themselves: of whose session nothing, to a replay everything."""

import dataclasses
import json
import re
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import msgspec
import pytest

from edge.bundle import Bundle, load_bundle
from edge.cli import replay
from edge.config import Config, SensorConfig, load_config
from edge.errors import RecordingError
from edge.messages import Message
from edge.paths import default_bundle_dir
from edge.recording import entries
from edge.recording import recorder as recording_module
from edge.recording.entries import RecordedSensor, SessionInfo
from edge.recording.files import session_files, stray_files
from edge.recording.mcap_file import salvage
from edge.recording.recorder import Recorder
from edge.recording.settings import session_configuration, session_info
from edge.records import LinkStatus
from edge.run_settings import RunSensor
from edge.sources.session import read_session
from tests.edge.recording.made import (
    WALL_MINUS_MONOTONIC_NS,
    NumberedRecord,
    record_all,
    recorder,
    sent,
    settings,
    shut_out_of,
)
from tests.full_disk import files_of_at_most

NAME = "20261122T224415Z-0c0ffee0"
ADDRESS = "AA:BB:CC:DD:EE:FF"


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return load_bundle(default_bundle_dir(), None)


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> list[NumberedRecord]:
    return sent(tmp_path_factory.mktemp("ring"), 5.0)


@pytest.fixture
def info(bundle: Bundle, tmp_path: Path) -> SessionInfo:
    return session_info(settings(tmp_path, "left"), bundle, 0)


def telling(folder: Path) -> Config:
    """A configuration with a name in every place that may hold one."""
    config = load_config(
        None,
        {
            "record.on": True,
            "record.directory": str(folder),
            "model.bundle": "/home/doe/bundles/jane",
            "publish.endpoint": "ipc:///run/user/1000/jane/f",
            "ble.backend": "tcp-client:janes-pi.example:6402",
            "ble.adapter": "hci-jane",
            "virtual.walker": "~/jane.toml",
        },
    )
    sensor = SensorConfig(name="left", match=ADDRESS, kind="/home/doe/jane.toml")
    return msgspec.structs.replace(config, ble=msgspec.structs.replace(config.ble, sensors=(sensor,)))


def _without_arrays(data: bytes) -> bytes:
    """Without base64, which may spell anything, and without the topics' slashes."""
    plain = re.sub(rb'"(device_time_ns|samples|saturated)":"[^"]*"', b"", data)
    return re.sub(rb"[a-z]+/(left/)?", b"", plain)


def test_no_byte_of_a_file_tells_an_address_a_host_a_folder_or_a_name(
    tmp_path: Path, bundle: Bundle, records: list[NumberedRecord], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recording_module, "MAX_PENDING", 10)
    folder = tmp_path / "jane-doe"
    sensor = RunSensor(
        stream_id=0,
        name="left",
        address=ADDRESS,
        advertised="Jane's DOT",
        kind="/home/doe/jane.toml",
        axes="y,-x,z",
    )
    told = msgspec.structs.replace(settings(folder), config=telling(folder), sensors=(sensor,))
    made = Recorder(
        folder, session_info(told, bundle, WALL_MINUS_MONOTONIC_NS), {0: "left"}, rotate_s=0.0, say=lambda _: None
    )
    with files_of_at_most(10):  # so that the file tells of a disk that was full, too
        for sequence, record in records[:-50]:
            made.take_record(sequence, record)
        assert not made.commit(0.0)
    record_all(records[-50:], made)
    (file,) = folder.iterdir()
    found = salvage(file.read_bytes())
    assert any(message.topic == entries.DROPOUT_TOPIC for message in found.messages)
    shown = [message.topic.encode() + message.data for message in found.messages]
    shown += [f"{file.name} {found.metadata}".encode()]
    for secret in ("jane", "/", "home", "example", "6402", "ipc:", "tcp", ADDRESS, ADDRESS.replace(":", ""), "DOT"):
        told_in = [data for data in shown if secret.lower().encode() in _without_arrays(data).lower()]
        assert not told_in, secret
    (recorded,) = read_session(folder).info.sensors
    assert recorded == RecordedSensor(name="left", kind="described", axes="y,-x,z")


def test_kinds_of_the_table_and_the_virtual_sensor_are_recorded_as_they_are(tmp_path: Path, bundle: Bundle) -> None:
    two = (RunSensor(stream_id=0, name="left", kind="movella-dot"), RunSensor(stream_id=1, name="right"))
    made = msgspec.structs.replace(settings(tmp_path), sensors=two)
    assert [sensor.kind for sensor in session_info(made, bundle, 0).sensors] == ["movella-dot", ""]


def test_what_live_judged_by_is_recorded_in_full(tmp_path: Path, bundle: Bundle) -> None:
    config = load_config(None, {"screen.mounting": "trust", "screen.min_walking_share": 0.5, "ble.low_rate": True})
    made = msgspec.structs.replace(settings(tmp_path, "left"), config=config)
    recorded = session_configuration(session_info(made, bundle, 0))
    assert recorded.screen == config.screen.spec_for(bundle.manifest)
    assert recorded.low_rate
    fields = json.loads(session_info(made, bundle, 0).configuration)["screen"]
    assert fields.keys() == {field.name for field in dataclasses.fields(recorded.screen)}, "no default is left out"


@pytest.mark.parametrize("was_insisted_on", [True, False])
def test_a_session_replays_at_a_low_rate_where_live_insisted_on_it(
    tmp_path: Path, bundle: Bundle, records: list[NumberedRecord], was_insisted_on: bool
) -> None:
    config = load_config(None, {"ble.low_rate": was_insisted_on})
    made = msgspec.structs.replace(settings(tmp_path, "left"), config=config)
    info = session_info(made, bundle, WALL_MINUS_MONOTONIC_NS)
    slow = [
        (sequence, dataclasses.replace(record, item=dataclasses.replace(record.item, rate_hz=40.0)))
        if isinstance(record.item, LinkStatus)
        else (sequence, record)
        for sequence, record in records
    ]
    record_all(slow, Recorder(tmp_path, info, {0: "left"}, rotate_s=0.0, say=print))
    refused = nullcontext() if was_insisted_on else pytest.raises(RecordingError, match="40 Hz")
    with refused:
        replay.command([tmp_path], publish=False, speed="max")


def without(name: str) -> Callable[[dict[str, Any]], object]:
    return lambda screen: screen["quality"].pop(name)


@pytest.mark.parametrize(
    "change",
    [
        without("flat_s"),
        lambda screen: screen.update(new_key=1),
        lambda screen: screen.update(mounting="guess"),
        lambda screen: screen["quality"].update(flat_s=-1.0),
    ],
)
def test_settings_that_this_version_does_not_have_are_refused_in_one_line(
    info: SessionInfo, change: Callable[[dict[str, Any]], object]
) -> None:
    configuration = json.loads(info.configuration)
    change(configuration["screen"])
    other = msgspec.structs.replace(info, configuration=json.dumps(configuration, separators=(",", ":")))
    with pytest.raises(RecordingError, match=r"was recorded by frailedge .* use that version") as refused:
        session_configuration(other)
    assert "\n" not in str(refused.value)


def test_settings_that_are_no_json_are_refused_in_one_line(info: SessionInfo) -> None:
    with pytest.raises(RecordingError, match="settings that this one does not have"):
        session_configuration(msgspec.structs.replace(info, configuration="{}x"))


@pytest.mark.parametrize("version", [0, 2])
def test_another_format_is_refused_by_its_number_before_anything_else_is_read(info: SessionInfo, version: int) -> None:
    fields = json.loads(entries.encode(info)) | {"format_version": version}
    del fields["person"]  # a later format may do without
    with pytest.raises(ValueError, match=f"format {version} of a session, and this version of frailedge reads 1"):
        entries.decode_info(json.dumps(fields).encode())


class Inner(msgspec.Struct, frozen=True):
    mean: float | None
    n: int = 1


class Made(Message, frozen=True, kw_only=True):
    label: str | None
    inner: Inner
    since_version_2: tuple[str, ...] = ("default",)


def test_a_field_that_a_message_did_not_have_yet_has_its_default_and_nulls_come_back() -> None:
    made = Made(sensor="left", label=None, inner=Inner(None, 4))
    data = entries.encode(made)
    assert entries.decode_message(Made, data) == made
    fields = json.loads(data)
    assert "label" not in fields
    del fields["since_version_2"], fields["inner"]["n"]
    old = entries.decode_message(Made, json.dumps(fields).encode())
    assert old == msgspec.structs.replace(made, inner=Inner(None, 1))
    del fields["inner"]
    with pytest.raises(ValueError, match="inner"):
        entries.decode_message(Made, json.dumps(fields).encode())


def test_two_runs_that_begin_in_the_same_second_are_two_sessions(
    tmp_path: Path, bundle: Bundle, records: list[NumberedRecord]
) -> None:
    record_all(records, recorder(tmp_path, bundle, print))
    record_all(records[:90], recorder(tmp_path, bundle, print, run_token="1234abcd"))
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "20261122T224415Z-0c0ffee0-1.mcap",
        "20261122T224415Z-1234abcd-1.mcap",
    ]
    begin = NAME.partition("-")[0]
    for both in (tmp_path, tmp_path / begin):
        with pytest.raises(RecordingError, match=f"holds 2 sessions; name one, such as .*{begin}-1234abcd"):
            session_files(both)
    infos = [read_session(tmp_path / f"{begin}-{token}").info for token in ("0c0ffee0", "1234abcd")]
    assert [info.run_token for info in infos] == ["0c0ffee0", "1234abcd"]
    (tmp_path / f"{begin}-1234abcd-1.mcap").unlink()
    assert session_files(tmp_path / begin) == [tmp_path / f"{NAME}-1.mcap"]


def test_files_that_are_not_called_as_a_sessions_are_left_out_and_named(tmp_path: Path) -> None:
    names = [f"{NAME}-1.mcap", f"{NAME}-2.mcap", f"{NAME}-2-recovered.mcap", f"{NAME}-10.mcap"]
    strays = ["copy of " + names[0], "walk.mcap"]
    for name in [*names, *strays]:
        (tmp_path / name).touch()
    assert [file.name for file in session_files(tmp_path)] == names
    assert stray_files(tmp_path) == strays
    assert session_files(tmp_path / "walk.mcap") == [tmp_path / "walk.mcap"]
    assert stray_files(tmp_path / "walk.mcap") == []
    for name in names:
        (tmp_path / name).unlink()
    with pytest.raises(RecordingError, match=r"holds no .mcap file of a session.*copy of .* is not called as one"):
        session_files(tmp_path)


def test_a_stray_file_beside_a_session_is_told(tmp_path: Path, bundle: Bundle, records: list[NumberedRecord]) -> None:
    record_all(records, recorder(tmp_path, bundle, print))
    (tmp_path / "walk.mcap").touch()
    assert read_session(tmp_path).losses == ("walk.mcap: is not called as a file of a session, and was left out",)


def test_a_path_that_cannot_be_read_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / f"{NAME}-1.mcap").touch()
    for path in (tmp_path, tmp_path / NAME, tmp_path / f"{NAME}-1.mcap"):
        with shut_out_of(tmp_path), pytest.raises(RecordingError, match="cannot be read: Permission denied"):
            session_files(path)
    with pytest.raises(RecordingError, match="cannot be read: File name too long"):
        session_files(tmp_path / ("x" * 300))


def test_a_session_that_ended_as_it_should_ends_with_its_mark_and_no_other_does(
    tmp_path: Path, bundle: Bundle, records: list[NumberedRecord]
) -> None:
    made = recorder(tmp_path, bundle, print, rotate_s=2.0)
    for sequence, record in records:
        made.take_record(sequence, record)
        made.commit_if_due(record.item.received_ns / 1e9)
    made.commit(records[-1][1].item.received_ns / 1e9)
    parts = session_files(tmp_path)
    assert len(parts) == 3
    assert entries.END_TOPIC not in {message.topic for file in parts for message in salvage(file.read_bytes()).messages}
    made.close()
    *others, last = (salvage(file.read_bytes()).messages for file in session_files(tmp_path))
    assert entries.END_TOPIC not in {message.topic for messages in others for message in messages}
    assert last[-1].topic == entries.END_TOPIC
    assert msgspec.json.decode(last[-1].data) == {"n_records": len(records)}
