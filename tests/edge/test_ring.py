"""What `edge.ring` promises, without killing anybody; see test_ring_kill for that."""

import os
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from zlib import crc32

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

import edge.ring
from edge.errors import RingError
from edge.records import MAX_RECORD_BYTES
from edge.ring import (
    DEFAULT_SLOT_BYTES,
    N_READERS,
    RingReader,
    RingWriter,
    create_ring,
    open_doorbell,
    runtime_dir,
)

ROOT = Path(__file__).resolve().parents[2]
HEADER_BYTES = 4096
SLOT_HEADER_BYTES = 16
HEAD_AT = 64


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ring"


@pytest.fixture
def doorbell() -> Iterator[int]:
    fd = open_doorbell()
    yield fd
    os.close(fd)


def patch(path: Path, at: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(data)


def read_all(reader: RingReader) -> list[tuple[int, bytes]]:
    return list(iter(reader.read, None))


# Records


def test_records_come_out_once_in_order_with_their_sequence(path: Path) -> None:
    payloads = [b"", b"x", bytes(range(200)), bytes(DEFAULT_SLOT_BYTES - SLOT_HEADER_BYTES)]
    with RingWriter(path) as writer, RingReader(path, 0) as reader:
        assert reader.read() is None
        assert [writer.write(payload) for payload in payloads] == [0, 1, 2, 3]
        assert read_all(reader) == list(enumerate(payloads))
        assert (reader.cursor, reader.lost, reader.written) == (4, 0, 4)


def test_the_largest_record_fits_a_default_slot(path: Path) -> None:
    with RingWriter(path) as writer:
        assert writer.max_payload_bytes >= MAX_RECORD_BYTES


def test_a_payload_longer_than_a_slot_is_refused_and_nothing_is_written(path: Path) -> None:
    with RingWriter(path, slot_bytes=64) as writer:
        writer.write(bytes(48))
        with pytest.raises(ValueError, match="49 bytes, where a slot holds 48"):
            writer.write(bytes(49))
        assert writer.written == 1


@pytest.mark.parametrize("n_written", [7, 8, 9, 23, 24, 25])
def test_an_overtaken_reader_gets_the_newest_and_an_exact_count_of_the_rest(path: Path, n_written: int) -> None:
    with RingWriter(path, slots=8, slot_bytes=32) as writer, RingReader(path, 0) as reader:
        for count in range(n_written):
            writer.write(count.to_bytes(2))
        kept = read_all(reader)
        assert [sequence for sequence, _ in kept] == list(range(n_written - 7, n_written))
        assert all(int.from_bytes(payload) == sequence for sequence, payload in kept)
        assert reader.lost == n_written - 7


def test_readers_follow_a_ring_each_at_its_own_pace(path: Path) -> None:
    with RingWriter(path, slots=8, slot_bytes=32) as writer:
        readers = [RingReader(path, reader_id) for reader_id in range(N_READERS)]
        for count in range(6):
            writer.write(bytes([count]))
            assert readers[0].read() == (count, bytes([count]))
        for reader in readers[1:]:
            assert len(read_all(reader)) == 6
        for reader in readers:
            reader.close()


# Restarts


def test_uncommitted_records_come_again_and_committed_ones_do_not(path: Path) -> None:
    with RingWriter(path, slots=16, slot_bytes=32) as writer:
        for count in range(10):
            writer.write(bytes([count]))
        with RingReader(path, 1) as reader:
            for _ in range(4):
                reader.read()
            reader.commit()
            for _ in range(3):
                reader.read()
        with RingReader(path, 1) as reader:
            assert [sequence for sequence, _ in read_all(reader)] == [4, 5, 6, 7, 8, 9]


def test_an_uncommitted_record_that_is_overwritten_before_the_next_life_counts_as_lost_once(path: Path) -> None:
    with RingWriter(path, slots=4, slot_bytes=32) as writer:
        writer.write(b"not committed")
        with RingReader(path, 0) as reader:
            assert reader.read() is not None
        for _ in range(3):
            writer.write(b"later")
        for _ in range(2):
            with RingReader(path, 0) as reader:
                assert len(read_all(reader)) == 3
                assert reader.lost == 1
        with RingReader(path, 0) as reader:
            read_all(reader)
            reader.commit()
        with RingReader(path, 0) as reader:
            assert (reader.cursor, reader.lost) == (4, 1)


def test_a_commit_cut_off_before_its_last_store_changes_nothing(path: Path) -> None:
    with RingWriter(path, slots=4, slot_bytes=32) as writer:
        for _ in range(6):
            writer.write(b"x")
        with RingReader(path, 0) as reader:
            reader.read()
            reader.commit()
            before = reader.cursor, reader.lost
            n_commits = reader._words[16]
            reader.read()
            reader.commit()
            assert (reader.cursor, reader.lost) != before
            reader._words[16] = n_commits  # as a kill before that store leaves it
        with RingReader(path, 0) as reader:
            assert (reader.cursor, reader.lost) == before


def test_a_new_writer_goes_on_from_the_head_found(path: Path) -> None:
    with reader_after_writes(path, 3) as reader:
        with RingWriter(path, slots=8, slot_bytes=32) as writer:
            assert writer.write(b"second life") == 3
        assert read_all(reader)[-1] == (3, b"second life")
        assert reader.lost == 0


def reader_after_writes(path: Path, n_written: int) -> RingReader:
    with RingWriter(path, slots=8, slot_bytes=32) as writer:
        for _ in range(n_written):
            writer.write(b"first life")
    return RingReader(path, 0)


# Damage


@pytest.mark.parametrize("at", range(SLOT_HEADER_BYTES + 9))
def test_a_slot_with_any_byte_changed_is_lost_and_the_next_record_is_read(path: Path, at: int) -> None:
    with RingWriter(path, slots=8, slot_bytes=32) as writer, RingReader(path, 0) as reader:
        writer.write(b"damaged..")
        writer.write(b"whole")
        patch(path, HEADER_BYTES + at, bytes([path.read_bytes()[HEADER_BYTES + at] ^ 0x10]))
        assert read_all(reader) == [(1, b"whole")]
        assert reader.lost == 1


def test_a_half_written_slot_past_the_head_is_never_read_and_the_next_writer_replaces_it(path: Path) -> None:
    with reader_after_writes(path, 8) as reader:  # the next slot holds record 0
        patch(path, HEADER_BYTES, (8).to_bytes(8, sys.byteorder) + b"\xff" * 12)
        assert [sequence for sequence, _ in read_all(reader)] == [1, 2, 3, 4, 5, 6, 7]
        with RingWriter(path, slots=8, slot_bytes=32) as writer:
            writer.write(b"again")
        assert read_all(reader) == [(8, b"again")]
        assert reader.lost == 1


def test_a_head_seen_before_its_slot_is_looked_at_again(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with RingWriter(path, slots=8, slot_bytes=32) as writer, RingReader(path, 0) as reader:
        writer.write(b"late")
        whole = path.read_bytes()[HEADER_BYTES : HEADER_BYTES + 32]
        patch(path, HEADER_BYTES, whole[:16] + bytes(16))  # the payload is not there yet
        looks = 0

        def crc_and_then_the_store_arrives(data: bytes, value: int = 0) -> int:
            nonlocal looks
            looks += 1
            result = crc32(data, value)
            if looks == 10:
                patch(path, HEADER_BYTES, whole)
            return result

        monkeypatch.setattr(edge.ring, "crc32", crc_and_then_the_store_arrives)
        assert reader.read() == (0, b"late")
        assert reader.lost == 0
        assert looks > 10


def test_a_head_with_no_slot_behind_it_is_given_up_and_counted(path: Path) -> None:
    with reader_after_writes(path, 2) as reader:
        patch(path, HEAD_AT, (5).to_bytes(8, sys.byteorder))
        assert len(read_all(reader)) == 2
        assert (reader.cursor, reader.lost) == (5, 3)


def test_counters_never_tear_between_two_processes(path: Path) -> None:
    """The load and the store used for head: all 64 bits always change together."""
    code = (
        "import sys, pathlib; from edge.ring import RingWriter\n"
        "writer = RingWriter(pathlib.Path(sys.argv[1]))\n"
        "while True:\n"
        "    writer._words[8] = 0xFFFF_FFFF_FFFF_FFFF\n"
        "    writer._words[8] = 0\n"
    )
    create_ring(path)
    seen: set[int] = set()
    n_looks = 0
    with RingReader(path, 0) as reader, subprocess.Popen([sys.executable, "-c", code, str(path)], cwd=ROOT) as other:
        try:
            while len(seen) < 2 or n_looks < 500_000:
                assert other.poll() is None
                seen.update(reader.written for _ in range(10_000))
                n_looks += 10_000
        finally:
            other.kill()
    assert seen == {0, 0xFFFF_FFFF_FFFF_FFFF}


def test_a_record_overwritten_while_it_is_copied_is_not_accepted(path: Path) -> None:
    """Long records, and both ends on one processor: a reader is often interrupted within a copy, and overtaken."""
    everywhere = os.sched_getaffinity(0)
    processor = min(everywhere)
    slots, slot_bytes = 4, 2**18
    code = (
        "import os, pathlib, sys; from edge.ring import RingWriter\n"
        "path, processor, slots, slot_bytes = pathlib.Path(sys.argv[1]), *map(int, sys.argv[2:])\n"
        "os.sched_setaffinity(0, {processor})\n"
        "writer = RingWriter(path, slots=slots, slot_bytes=slot_bytes)\n"
        "fills = [bytes([fill]) * writer.max_payload_bytes for fill in range(7)]\n"
        "while True:\n"
        "    writer.write(fills[writer.written % 7])\n"
    )
    create_ring(path, slots=slots, slot_bytes=slot_bytes)
    command = [sys.executable, "-c", code, *map(str, (path, processor, slots, slot_bytes))]
    n_accepted = 0
    with subprocess.Popen(command, cwd=ROOT) as other:
        os.sched_setaffinity(0, {processor})
        try:
            while n_accepted < 2000:
                assert other.poll() is None
                with RingReader(path, 0) as reader:  # commits nothing: begins with the oldest, next to the writer
                    if (found := reader.read()) is not None:
                        sequence, payload = found
                        assert payload[0] == payload[-1] == sequence % 7
                        n_accepted += 1
        finally:
            other.kill()
            os.sched_setaffinity(0, everywhere)


# Waiting


def test_wait_tells_whether_there_is_a_record_and_an_old_bell_is_no_record(path: Path, doorbell: int) -> None:
    with RingWriter(path, doorbell=doorbell) as writer, RingReader(path, 0, doorbell=doorbell) as reader:
        assert not reader.wait(0.0)
        writer.write(b"x")
        assert reader.wait(0.0)
        reader.read()
        assert not reader.wait(0.01)


def test_wait_without_a_doorbell_sees_records_too(path: Path) -> None:
    with RingWriter(path) as writer, RingReader(path, 0) as reader:
        assert not reader.wait(0.01)
        late = threading.Timer(0.01, writer.write, (b"x",))
        late.start()
        assert reader.wait(30.0)
        late.join()
        assert reader.read() == (0, b"x")


def test_no_wake_up_is_lost_in_2000_round_trips(tmp_path: Path) -> None:
    there, back = open_doorbell(), open_doorbell()
    n_trips, failed = 2000, []

    def echo() -> None:
        with (
            RingReader(tmp_path / "there", 0, doorbell=there) as requests,
            RingWriter(tmp_path / "back", doorbell=back) as replies,
        ):
            for _ in range(n_trips):
                if not requests.wait(20.0) or (found := requests.read()) is None:
                    failed.append("request")
                    return
                replies.write(found[1])

    create_ring(tmp_path / "back")
    with (
        RingWriter(tmp_path / "there", doorbell=there) as requests,
        RingReader(tmp_path / "back", 0, doorbell=back) as replies,
    ):
        other = threading.Thread(target=echo)
        other.start()
        for trip in range(n_trips):
            requests.write(trip.to_bytes(4))
            assert replies.wait(20.0)
            assert replies.read() == (trip, trip.to_bytes(4))
        other.join()
    os.close(there)
    os.close(back)
    assert not failed


def test_a_new_life_of_the_writer_rings_for_what_the_old_one_may_have_left(path: Path, doorbell: int) -> None:
    with RingWriter(path) as writer:
        writer.write(b"no bell was rung for this one")
    RingWriter(path, doorbell=doorbell).close()
    assert os.eventfd_read(doorbell) == 1


# The file


def test_the_file_is_private_and_nothing_else_is_left_in_the_folder(path: Path) -> None:
    RingWriter(path).close()
    assert [entry.name for entry in path.parent.iterdir()] == ["ring"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_create_ring_leaves_an_existing_ring_alone(path: Path) -> None:
    with reader_after_writes(path, 2) as reader:
        before = path.read_bytes()
        create_ring(path, slots=8, slot_bytes=32)
        assert path.read_bytes() == before
        assert len(read_all(reader)) == 2


def test_of_many_that_create_a_ring_at_once_all_end_up_with_the_same_one(path: Path) -> None:
    barrier = threading.Barrier(8)
    inodes = []

    def create() -> None:
        barrier.wait()
        create_ring(path)
        inodes.append(path.stat().st_ino)

    threads = [threading.Thread(target=create) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(inodes) == 8
    assert len(set(inodes)) == 1


def test_a_second_living_writer_is_refused_and_a_later_one_is_not(path: Path) -> None:
    with RingWriter(path), pytest.raises(RingError, match="living writer"):
        RingWriter(path)
    RingWriter(path).close()


def test_a_living_writer_in_another_process_is_noticed(path: Path) -> None:
    code = "import sys, pathlib; from edge.ring import RingWriter; RingWriter(pathlib.Path(sys.argv[1]))"
    with RingWriter(path):
        other = subprocess.run([sys.executable, "-c", code, str(path)], cwd=ROOT, capture_output=True, text=True)
    assert "has a living writer already" in other.stderr


def test_a_second_living_reader_of_one_id_is_refused_and_another_id_is_not(path: Path) -> None:
    create_ring(path)
    with RingReader(path, 0), RingReader(path, 1), pytest.raises(RingError, match="living reader 0"):
        RingReader(path, 0)
    RingReader(path, 0).close()


def test_close_is_harmless_when_repeated(path: Path) -> None:
    writer = RingWriter(path)
    writer.close()
    writer.close()


@pytest.mark.parametrize(
    ("at", "data", "message"),
    [
        (0, b"RIFF", "not a ring file"),
        (8, (2).to_bytes(8, sys.byteorder), "ring layout 2, this program has 1"),
        (16, (9).to_bytes(8, sys.byteorder), "header is damaged"),
        (24, (0).to_bytes(8, sys.byteorder), "header is damaged"),
        (24, (2**63).to_bytes(8, sys.byteorder), "header is damaged"),
    ],
)
def test_a_wrong_header_is_refused_by_both_ends(path: Path, at: int, data: bytes, message: str) -> None:
    RingWriter(path).close()
    patch(path, at, data)
    with pytest.raises(RingError, match=message):
        RingWriter(path)
    with pytest.raises(RingError, match=message):
        RingReader(path, 0)


@pytest.mark.parametrize("n_bytes", [0, 7, 31, 4095, 4096, 100_000])
def test_a_file_cut_short_is_refused(path: Path, n_bytes: int) -> None:
    RingWriter(path).close()
    os.truncate(path, n_bytes)
    with pytest.raises(RingError, match=r"not a ring file|header is damaged"):
        RingReader(path, 0)


def test_a_reader_ahead_of_the_writer_is_refused(path: Path) -> None:
    with reader_after_writes(path, 3) as reader:
        read_all(reader)
        reader.commit()
    patch(path, HEAD_AT, (1).to_bytes(8, sys.byteorder))
    with pytest.raises(RingError, match="reader 0 is ahead of the writer"):
        RingReader(path, 0)


def test_another_size_than_the_file_has_is_refused(path: Path) -> None:
    RingWriter(path, slots=8, slot_bytes=64).close()
    with pytest.raises(RingError, match="has 8 slots of 64 bytes, not 8 of 128"):
        RingWriter(path, slots=8, slot_bytes=128)


@pytest.mark.parametrize(("slots", "slot_bytes"), [(1, 64), (8, 16), (8, 60)])
def test_an_impossible_size_is_a_bug_of_the_caller(path: Path, slots: int, slot_bytes: int) -> None:
    with pytest.raises(ValueError, match="a ring needs"):
        create_ring(path, slots=slots, slot_bytes=slot_bytes)
    assert not path.exists()


@pytest.mark.parametrize("reader_id", [-1, N_READERS])
def test_an_impossible_reader_id_is_a_bug_of_the_caller(path: Path, reader_id: int) -> None:
    create_ring(path)
    with pytest.raises(ValueError, match="reader_id must be 0 to 3"):
        RingReader(path, reader_id)


def test_what_is_not_a_plain_private_file_of_this_user_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ring = tmp_path / "ring"
    create_ring(ring)
    (tmp_path / "link").symlink_to(ring)
    (tmp_path / "dangling").symlink_to(tmp_path / "nothing")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "fifo", 0o600)
    for name in ("link", "dangling", "folder", "fifo"):
        with pytest.raises(RingError, match=name):
            RingWriter(tmp_path / name)
        with pytest.raises(RingError, match=name):
            RingReader(tmp_path / name, 0)
    assert not (tmp_path / "nothing").exists()
    ring.chmod(0o640)
    with pytest.raises(RingError, match="not a plain file of this user alone"):
        RingReader(ring, 0)
    ring.chmod(0o600)
    with monkeypatch.context() as patched:
        patched.setattr(os, "geteuid", lambda: ring.stat().st_uid + 1)
        with pytest.raises(RingError, match="not a plain file of this user alone"):
            RingReader(ring, 0)
    RingReader(ring, 0).close()


def test_a_reader_without_a_ring_is_told_what_to_start(path: Path) -> None:
    with pytest.raises(RingError, match="there is no ring; the ingesting process makes it"):
        RingReader(path, 0)


def test_a_folder_that_is_not_there_is_one_clear_line(path: Path) -> None:
    with pytest.raises(RingError, match="no ring can be made there"):
        RingWriter(path / "below" / "ring")


# The folder


def test_the_runtime_folder_is_private_and_under_xdg_runtime_dir(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    assert runtime_dir() == runtime_dir() == tmp_path / "frailedge"
    assert stat.S_IMODE((tmp_path / "frailedge").stat().st_mode) == 0o700


@pytest.mark.parametrize("value", [None, "", "relative", "/nowhere/at/all"])
def test_without_a_usable_xdg_runtime_dir_it_is_a_private_temporary_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str | None
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    if value is None:
        monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    else:
        monkeypatch.setenv("XDG_RUNTIME_DIR", value)
    folder = runtime_dir()
    assert folder.parent == tmp_path
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_runtime_folder_that_others_may_enter_or_that_is_a_link_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    folder = runtime_dir()
    folder.chmod(0o755)
    with pytest.raises(RingError, match="mode 0700"):
        runtime_dir()
    folder.rmdir()
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    folder.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(RingError, match="mode 0700"):
        runtime_dir()


# Against a model


class RingAgainstModel(RuleBasedStateMachine):
    """Any order of writing, reading, committing and restarting gives what lists and numbers give."""

    N_SLOTS = 5

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "ring"
        self.writer = RingWriter(self.path, slots=self.N_SLOTS, slot_bytes=40)
        self.readers = [RingReader(self.path, 0), RingReader(self.path, 3)]
        self.written: list[bytes] = []
        self.now = [(0, 0), (0, 0)]  # cursor and lost of each reader
        self.committed = [(0, 0), (0, 0)]

    @rule(payloads=st.lists(st.binary(max_size=24), min_size=1, max_size=12))
    def write(self, payloads: list[bytes]) -> None:
        for payload in payloads:
            assert self.writer.write(payload) == len(self.written)
            self.written.append(payload)

    @rule(which=st.integers(0, 1), n_reads=st.integers(1, 6))
    def read(self, which: int, n_reads: int) -> None:
        for _ in range(n_reads):
            cursor, lost = self.now[which]
            oldest = max(cursor, len(self.written) - (self.N_SLOTS - 1))
            cursor, lost = oldest, lost + oldest - cursor
            found = self.readers[which].read()
            if cursor == len(self.written):
                assert found is None
            else:
                assert found == (cursor, self.written[cursor])
                cursor += 1
            self.now[which] = cursor, lost

    @rule(which=st.integers(0, 1))
    def commit(self, which: int) -> None:
        self.readers[which].commit()
        self.committed[which] = self.now[which]

    @rule(which=st.integers(0, 1))
    def restart_reader(self, which: int) -> None:
        self.readers[which].close()
        self.readers[which] = RingReader(self.path, 3 * which)
        self.now[which] = self.committed[which]

    @rule()
    def restart_writer(self) -> None:
        self.writer.close()
        self.writer = RingWriter(self.path, slots=self.N_SLOTS, slot_bytes=40)

    @invariant()
    def counts_agree(self) -> None:
        assert self.writer.written == len(self.written)
        for reader, (cursor, lost) in zip(self.readers, self.now, strict=True):
            assert (reader.cursor, reader.lost, reader.written) == (cursor, lost, len(self.written))
            assert reader.wait(0.0) == (cursor < len(self.written))

    def teardown(self) -> None:
        for end in (self.writer, *self.readers):
            end.close()
        self.folder.cleanup()


TestRingAgainstModel = RingAgainstModel.TestCase
TestRingAgainstModel.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
