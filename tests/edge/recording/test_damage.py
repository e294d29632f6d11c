"""Session files cut anywhere and with flipped bits: what is whole comes out, nothing wrong ever does."""

import bisect
import random
import struct
from pathlib import Path

import pytest
from mcap.opcode import Opcode

from edge.config import ModelConfig
from edge.errors import RecordingError
from edge.messages import Message
from edge.opening import open_model
from edge.recording.mcap_file import StoredMessage, salvage
from edge.recording.recover import recover
from edge.sources.session import read_session
from tests.edge.cli.run import frailedge
from tests.edge.recording.made import live, recorder, sent, shut_out_of
from tests.full_disk import files_of_at_most

DURATION_S = 30.0
CHUNK_HEADER = struct.Struct("<BQQQQII4sQ")
NAME = "20261122T224415Z-0c0ffee0-1.mcap"


class Whole:
    """A file of 30 seconds, its records' borders, and how many messages lie before each chunk's end."""

    def __init__(self, data: bytes, path: Path) -> None:
        self.path = path
        self.data = data
        self.messages = salvage(self.data).messages
        self.borders = [8]
        self.chunks: list[tuple[int, int]] = []
        while self.borders[-1] < len(self.data) - 8:
            begin = self.borders[-1]
            end = begin + 9 + int.from_bytes(self.data[begin + 1 : begin + 9], "little")
            if self.data[begin] == Opcode.CHUNK:
                self.chunks.append((begin, end))
            self.borders.append(end)
        self.chunk_ends = [end for _, end in self.chunks]
        self.n_before = [len(salvage(self.data[:end]).messages) for end in [8, *self.chunk_ends]]

    def without_what_is_at(self, byte: int) -> tuple[StoredMessage, ...]:
        """The messages of all chunks but the one that a byte lies in, where it lies in one."""
        number = bisect.bisect_right(self.chunk_ends, byte)
        if number == len(self.chunks) or byte < self.chunks[number][0]:
            return self.messages
        return self.messages[: self.n_before[number]] + self.messages[self.n_before[number + 1] :]

    def n_whole(self, cut: int) -> int:
        """How many messages stand in chunks that end before a cut."""
        return self.n_before[bisect.bisect_right(self.chunk_ends, cut)]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Whole:
    folder = tmp_path_factory.mktemp("whole")
    bundle, classifier = open_model(ModelConfig(variant="dynamic"))  # the quicker one
    recording = recorder(folder / "rec", bundle, print)

    def sink(message: Message) -> None:
        recording.take_message(message, 5)

    live(sent(folder, DURATION_S, drop_share=0.02), bundle, classifier, sink, also=recording)
    recording.close()
    return Whole((folder / "rec" / NAME).read_bytes(), folder / "rec" / NAME)


def test_the_file_is_one_of_30_seconds_in_half_second_chunks(whole: Whole) -> None:
    assert len(whole.chunks) >= 2 * DURATION_S - 2
    assert whole.n_before[-1] == len(whole.messages)
    assert salvage(whole.data).is_finished
    assert salvage(whole.data).n_damaged_bytes == 0


def cut_and_read(whole: Whole, cuts: list[int]) -> str:
    n_wrong = 0
    for cut in cuts:
        found = salvage(whole.data[:cut])
        n_wrong += found.messages != whole.messages[: whole.n_whole(cut)]
    assert n_wrong == 0
    return f"recorder, file of 30 s cut at {len(cuts)} places: {n_wrong} wrong or lost records, 0 crashes"


def test_a_file_cut_at_a_records_border_or_within_the_last_chunks_gives_all_that_is_whole(whole: Whole) -> None:
    last_two = range(whole.chunks[-2][0], whole.chunks[-1][1] + 1)
    print("\n" + cut_and_read(whole, [*whole.borders, *last_two[::97]]))


def test_a_file_cut_at_any_byte_of_the_last_two_chunks_gives_all_that_is_whole(whole: Whole) -> None:
    """In the file of 30 seconds without the chunks before them: no chunk's look depends on those, and it is quick."""
    last_two = slice(whole.chunks[-2][0], len(whole.data))
    short = Whole(whole.data[: whole.chunks[0][0]] + whole.data[last_two], whole.path)
    assert short.messages == whole.messages[whole.n_before[-3] :]
    cuts = range(short.chunks[0][0], short.chunks[-1][1] + 1)
    print("\n" + cut_and_read(short, list(cuts)))


@pytest.mark.soak
def test_a_file_cut_at_any_byte_gives_all_that_is_whole(whole: Whole) -> None:
    print("\n" + cut_and_read(whole, list(range(len(whole.data) + 1))))


def flip_and_read(whole: Whole, n_flips: int, folder: Path, seed: int, session_every: int) -> str:
    chance = random.Random(seed)
    path = folder / NAME
    n_wrong = n_worst = 0
    samples = {
        int(time_ns): row.tobytes()
        for track in read_session(whole.path).tracks
        for time_ns, row in zip(track.time_ns, track.samples, strict=True)
    }
    for number in range(n_flips):
        byte, bit = divmod(chance.randrange(8 * len(whole.data)), 8)
        data = bytearray(whole.data)
        data[byte] ^= 1 << bit
        found = salvage(bytes(data)).messages
        n_wrong += found not in (whole.messages, whole.without_what_is_at(byte))
        n_worst = max(n_worst, len(whole.messages) - len(found))
        if number % session_every:
            continue
        path.write_bytes(data)
        (track,) = read_session(path).tracks
        n_wrong += sum(
            samples.get(int(time_ns)) != row.tobytes()
            for time_ns, row in zip(track.time_ns, track.samples, strict=True)
        )
    assert n_wrong == 0, "a flipped bit takes the chunk that it is in, and no other"
    return (
        f"recorder, {n_flips} single-bit flips: {n_wrong} wrong records, 0 crashes, at most {n_worst} messages (one "
        "chunk) lost"
    )


def test_1000_flipped_bits_give_no_wrong_record_and_cost_one_chunk_each(whole: Whole, tmp_path: Path) -> None:
    print("\n" + flip_and_read(whole, 1000, tmp_path, seed=1, session_every=50))


@pytest.mark.soak
def test_10000_flipped_bits_give_no_wrong_record_and_cost_one_chunk_each(whole: Whole, tmp_path: Path) -> None:
    print("\n" + flip_and_read(whole, 10_000, tmp_path, seed=2, session_every=5))


def test_a_damaged_length_of_a_chunk_takes_no_other_chunk_along(whole: Whole) -> None:
    begin, _ = whole.chunks[10]
    length_at = begin + CHUNK_HEADER.size - 8
    data = bytearray(whole.data)
    data[length_at + 2] |= 1  # 64 KiB more, and far from the end of the file
    assert whole.messages[whole.n_before[11] :] == salvage(bytes(data)).messages[whole.n_before[10] :]


@pytest.mark.parametrize("seed", range(10))
def test_a_hole_of_zeros_or_noise_is_told_and_what_comes_after_it_is_read(
    whole: Whole, tmp_path: Path, seed: int
) -> None:
    chance = random.Random(seed)
    begin = chance.randrange(8, whole.chunks[-3][0])
    length = chance.randrange(1, 20_000)
    hole = bytes(length) if seed % 2 else chance.randbytes(length)
    data = whole.data[:begin] + hole + whole.data[begin + length :]
    found = salvage(data)
    after = [message for message in whole.messages if message in set(found.messages)]
    assert tuple(after) == found.messages
    assert found.messages[-1] == whole.messages[-1]
    path = tmp_path / NAME
    path.write_bytes(data)
    is_chunk_hit = any(first < begin + length and begin < end for first, end in whole.chunks)
    if is_chunk_hit:
        assert any("damaged" in loss for loss in read_session(path).losses)
        assert any("records are missing" in loss for loss in read_session(path).losses)


def test_a_file_without_its_first_chunk_still_tells_what_it_is_about(whole: Whole, tmp_path: Path) -> None:
    begin, end = whole.chunks[0]
    path = tmp_path / NAME
    path.write_bytes(whole.data[:begin] + bytes(end - begin) + whole.data[end:])
    session = read_session(path)
    assert session.info == read_session(whole.path).info
    assert salvage(path.read_bytes()).messages == whole.messages[whole.n_before[1] :]


def test_recover_writes_a_sound_copy_once_and_says_what_was_lost(whole: Whole, tmp_path: Path) -> None:
    path = tmp_path / NAME
    begin, end = whole.chunks[20]
    path.write_bytes(whole.data[:begin] + bytes(end - begin) + whole.data[end : whole.chunks[50][0] + 100])
    result = frailedge("recover", path)
    assert result.returncode == 0, result.stderr
    copy = tmp_path / NAME.replace(".mcap", "-recovered.mcap")
    assert str(copy) in result.stdout
    for words in ("bytes are damaged", "records are missing"):
        assert words in result.stderr
    mended = salvage(copy.read_bytes())
    assert mended.is_finished
    assert mended.messages == salvage(path.read_bytes()).messages
    assert mended.n_damaged_bytes == 0
    with pytest.raises(RecordingError, match="is there already"):
        recover(path, copy)
    samples = read_session(path).tracks[0].samples.tobytes()
    assert read_session(copy).tracks[0].samples.tobytes() == samples
    assert read_session(tmp_path).tracks[0].samples.tobytes() == samples, "what stands in both is read once"


def test_recover_leaves_a_whole_file_alone_and_refuses_what_is_none(whole: Whole, tmp_path: Path) -> None:
    copy = tmp_path / "copy.mcap"
    assert recover(whole.path, copy).copy is None
    assert not copy.exists()
    stray = tmp_path / "x.mcap"
    stray.write_bytes(b"nothing")
    with pytest.raises(RecordingError, match="holds nothing of a session"):
        recover(stray, copy)


def test_recover_refuses_what_it_cannot_read_or_write_in_one_line(whole: Whole, tmp_path: Path) -> None:
    damaged = tmp_path / NAME
    damaged.write_bytes(whole.data[:-100])
    with shut_out_of(tmp_path), pytest.raises(RecordingError, match="cannot be read: Permission denied"):
        recover(damaged, tmp_path / "copy.mcap")
    with files_of_at_most(1000), pytest.raises(RecordingError, match=r"copy.mcap: cannot be written: File too large"):
        recover(damaged, tmp_path / "copy.mcap")
    assert not (tmp_path / "copy.mcap").exists()
    for too_long in (tmp_path / ("x" * 300), tmp_path / ("x" * 300) / "y.mcap"):
        with pytest.raises(RecordingError, match="cannot be written: File name too long"):
            recover(damaged, too_long)
        with pytest.raises(RecordingError, match="cannot be read: File name too long"):
            recover(too_long, tmp_path / "copy.mcap")
    with pytest.raises(RecordingError, match="name one file of a session"):
        recover(tmp_path, tmp_path / "copy.mcap")


def test_messages_are_values(whole: Whole) -> None:
    assert isinstance(whole.messages[0], StoredMessage)
    assert len(set(whole.messages)) == len(whole.messages), "the tests above tell messages apart by their values"
