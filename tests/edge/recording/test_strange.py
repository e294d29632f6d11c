"""Files whose checksums are right and whose content is strange: read as far as that goes, or refused in one line."""

import base64
import contextlib
import json
import shutil
import struct
import tempfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import zstandard
from hypothesis import example, given, settings
from hypothesis import strategies as st

from edge.bundle import Bundle
from edge.config import ModelConfig
from edge.errors import FrailedgeError, RecordingError
from edge.export import export
from edge.messages import Message
from edge.model import Classifier
from edge.opening import open_model
from edge.recording import entries
from edge.recording.mcap_file import McapFile, StoredMessage, salvage
from edge.recording.settings import session_configuration
from edge.replay_session import replay_session
from edge.session_result import KINDS
from edge.sources.session import read_session
from tests.edge.recording.made import live, recorder, sent
from tests.edge.recording.session_log import read_messages

REMOVED = object()
FIELDS = {
    entries.SESSION_TOPIC: (
        *("session", "run_token", "part", "person", "sensors", "bundle", "bundle_sha256", "version", "configuration"),
        *("wall_minus_monotonic_ns", "format_version"),
    ),
    "samples/left/": (
        *("sensor", "ring_sequence", "received_ns", "first_sample_index", "n_samples", "host_time_ns", "rate_hz"),
        *("boot_id", "device_time_ns", "samples", "saturated"),
    ),
    "gap/left/": ("sensor", "ring_sequence", "received_ns", "first_sample_index", "n_samples", "is_estimated"),
    "link/left/": ("ring_sequence", "received_ns", "state", "rate_hz", "is_foot_frame"),
    "restart/left/": ("ring_sequence", "received_ns", "boot_id"),
    "dropout/": ("n_records", "why"),
    "end/": ("n_records",),
    "gait/left/": ("boot_id", "sequence", "sensor", "session"),
}
STRANGE = st.one_of(
    st.sampled_from(
        [REMOVED, None, True, -1, 0, 2**31, 2**63, -(2**63), 10**19, 10**30, 1e300, "../../x", "x\n", [], {}]
    ),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=5),
    st.binary(max_size=50).map(lambda data: base64.b64encode(data).decode()),
)


@pytest.fixture(scope="module")
def model() -> tuple[Bundle, Classifier]:
    return open_model(ModelConfig(variant="dynamic"))  # the quicker one


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory, model: tuple[Bundle, Classifier]) -> Path:
    """Three seconds with something of everything."""
    folder = tmp_path_factory.mktemp("sound")
    made = recorder(folder / "rec", model[0], print)
    made.count_overwritten(2)

    def sink(message: Message) -> None:
        made.take_message(message, 5)

    live(sent(folder, 3.0, drop_share=0.1), *model, sink, also=made)
    made.close()
    (file,) = (folder / "rec").iterdir()
    assert set(FIELDS) <= {message.topic for message in salvage(file.read_bytes()).messages}
    return file


def changed(sound: Path, folder: Path, topic: str, change: Callable[[dict[str, object]], None]) -> Path:
    """The file with one message of a topic changed, and every checksum right."""
    found = salvage(sound.read_bytes())
    file = McapFile(
        folder / sound.name,
        {message.topic: ("any", b'{"type":"object","properties":{}}') for message in found.messages},
        {"session": found.metadata["session"]},
    )
    first = next(message for message in found.messages if message.topic == topic)
    for message in found.messages:
        if message is first:
            content = json.loads(message.data)
            change(content)
            file.add(StoredMessage(topic, message.log_time_ns, 0, 0, json.dumps(content).encode()))
        else:
            file.add(message)
    file.close()
    return file.path


def use(path: Path, model: tuple[Bundle, Classifier], folder: Path) -> None:
    """All that reads a session; what it refuses, it refuses with an error for the user."""

    def replay() -> None:
        session = read_session(path)
        replay_session(
            session,
            *model,
            speed=None,
            screen=session_configuration(session.info).screen,
            sink=entries.encode,
            wait=lambda _: None,
        )

    for read in (
        lambda: read_messages(path, KINDS),
        lambda: export(path, "csv", folder / "csv"),
        lambda: export(path, "bids", folder / "bids"),
        replay,
    ):
        with contextlib.suppress(FrailedgeError):
            read()
    assert {entry.name for entry in folder.iterdir()} <= {path.name, "csv", "bids"}, "nothing leaves the folder"


@settings(max_examples=60, deadline=None)
@given(where=st.sampled_from([(topic, name) for topic, names in FIELDS.items() for name in names]), value=STRANGE)
@example(where=("session/", "wall_minus_monotonic_ns"), value=10**19)
@example(where=("session/", "person"), value="../../x")
@example(where=("session/", "sensors"), value=[{"name": "../left"}])
@example(where=("samples/left/", "samples"), value="")
@example(where=("samples/left/", "n_samples"), value=10**15)
def test_no_value_in_a_file_ends_in_a_traceback_or_outside_the_folder(
    sound: Path, model: tuple[Bundle, Classifier], where: tuple[str, str], value: object
) -> None:
    topic, name = where

    def change(content: dict[str, object]) -> None:
        if value is REMOVED:
            content.pop(name, None)
        else:
            content[name] = value

    folder = Path(tempfile.mkdtemp(dir=sound.parent.parent))
    try:
        use(changed(sound, folder, topic, change), model, folder)
    finally:
        shutil.rmtree(folder)


@pytest.mark.parametrize(
    ("times_ns", "words"), [([5, 5, 6, 7], "device times do not rise"), ([5, 6], "one value a sample"), ([], "n > 0")]
)
def test_a_record_that_holds_no_signal_is_refused_by_its_number(
    sound: Path, tmp_path: Path, times_ns: list[int], words: str
) -> None:
    def change(content: dict[str, object]) -> None:
        content["device_time_ns"] = base64.b64encode(np.array(times_ns, "<i8").tobytes()).decode()
        if not times_ns:
            content["samples"] = ""

    with pytest.raises(RecordingError, match=rf"record \d+ of sensor left is no signal: .*{words}"):
        read_session(changed(sound, tmp_path, "samples/left/", change))


def test_a_file_of_another_program_is_refused_in_one_line(tmp_path: Path) -> None:
    file = McapFile(tmp_path / "x.mcap", {"/imu": ("Imu", b'{"type":"object","properties":{}}')}, {})
    file.add(StoredMessage("/imu", 1, 1, 0, b"{}"))
    file.close()
    with pytest.raises(RecordingError, match="holds nothing of a session: it is another program's"):
        read_session(file.path)


def record(opcode: int, content: bytes) -> bytes:
    return struct.pack("<BQ", opcode, len(content)) + content


RECORDS = st.lists(
    st.builds(
        lambda opcode, content, n_cut: record(opcode, content)[: -n_cut or None],
        st.sampled_from([3, 4, 5, 6, 12]),
        st.binary(max_size=40),
        st.sampled_from([0, 0, 0, 1, 8, 12]),
    ),
    max_size=5,
)


@settings(max_examples=300, deadline=None)
@given(records=RECORDS)
def test_a_chunk_of_anything_with_a_right_checksum_raises_nothing(records: list[bytes]) -> None:
    content = b"".join(records)
    data = zstandard.ZstdCompressor().compress(content)
    about = struct.pack("<QQQII4sQ", 0, 0, len(content), zlib.crc32(content), 4, b"zstd", len(data))
    found = salvage(b"\x89MCAP0\r\n" + record(6, about + data))
    assert found.n_damaged_bytes == 0, "the chunk was taken for one"
    assert not found.messages or found.messages[0].topic != entries.SESSION_TOPIC
