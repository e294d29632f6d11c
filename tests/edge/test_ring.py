"""What `edge.ring` promises, without killing anybody; see test_ring_kill for that."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from zlib import crc32

import pytest

import edge.ring
from edge.records import MAX_RECORD_BYTES
from edge.ring import (
    DEFAULT_SLOT_BYTES,
    N_READERS,
    RingReader,
    RingWriter,
    create_ring,
    open_doorbell,
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
