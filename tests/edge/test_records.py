"""Records come back from their bytes exactly, and bytes that are no record are refused."""

import struct

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from edge.errors import RingError
from edge.records import (
    MAX_BLOCK_SAMPLES,
    MAX_RECORD_BYTES,
    MAX_TEXT_BYTES,
    LinkState,
    LinkStatus,
    Record,
    decode_record,
    encode_record,
)
from firmware_bridge.channels import N_CHANNELS
from firmware_bridge.events import Block, CorruptPacket, DuplicatePacket, Gap, Restart

u64 = st.integers(0, 2**64 - 1)
i64 = st.integers(-(2**63), 2**63 - 1)
stream_ids = st.integers(0, 255)
short_text = st.text(max_size=MAX_TEXT_BYTES).filter(lambda text: len(text.encode()) <= MAX_TEXT_BYTES)


@st.composite
def blocks(draw: st.DrawFn) -> Block:
    n = draw(st.integers(1, MAX_BLOCK_SAMPLES))
    start = draw(st.integers(-(2**62), 2**62))
    steps = draw(npst.arrays(np.int64, n, elements=st.integers(1, 2**40)))
    return Block(
        first_sample_index=draw(u64),
        device_time_ns=start + np.cumsum(steps),
        samples=draw(npst.arrays(np.float32, (n, N_CHANNELS), elements=st.floats(width=32))),
        saturated=draw(npst.arrays(np.bool_, n)),
        received_ns=draw(i64),
    )


link_statuses = st.builds(
    LinkStatus,
    state=st.sampled_from(LinkState),
    sensor=short_text,
    rate_hz=st.floats(0.0, allow_infinity=False, allow_nan=False),
    packets_received=u64,
    packets_corrupt=u64,
    packets_duplicate=u64,
    samples_received=u64,
    samples_lost=u64,
    reconnects=u64,
    received_ns=i64,
    samples_lost_estimated=u64,
    gaps=u64,
    packet_rate_hz=st.floats(0.0, allow_infinity=False, allow_nan=False),
    packet_rate_expected_hz=st.floats(0.0, allow_infinity=False, allow_nan=False),
    battery_percent=st.none() | st.integers(0, 100),
    rssi_dbm=st.none() | st.integers(-128, 127),
    boot_id=u64,
    is_foot_frame=st.booleans(),
)
small_items = st.one_of(
    st.builds(Gap, first_sample_index=u64, n_samples=u64, received_ns=i64, is_estimated=st.booleans()),
    st.builds(CorruptPacket, reason=short_text, received_ns=i64),
    st.builds(DuplicatePacket, packet_seq=u64, received_ns=i64),
    st.builds(Restart, boot_id=u64, received_ns=i64),
    link_statuses,
)
records = st.one_of(
    st.builds(Record, stream_id=stream_ids, item=small_items),
    st.builds(Record, stream_id=stream_ids, item=blocks(), host_time_ns=i64),
)


def full_block() -> Record:
    n = MAX_BLOCK_SAMPLES
    samples = np.arange(n * N_CHANNELS, dtype=np.float32).reshape(n, N_CHANNELS)
    saturated = np.zeros(n, np.bool_)
    saturated[[0, 18]] = True
    return Record(7, Block(1000, np.arange(n, dtype=np.int64) * 9_615_384, samples, saturated, 5), host_time_ns=4)


@given(blocks(), stream_ids, i64)
def test_a_block_comes_back_to_the_bit(block: Block, stream_id: int, host_time_ns: int) -> None:
    record = decode_record(encode_record(Record(stream_id, block, host_time_ns)))
    assert (record.stream_id, record.host_time_ns) == (stream_id, host_time_ns)
    assert isinstance(record.item, Block)
    assert record.item.first_sample_index == block.first_sample_index
    assert record.item.received_ns == block.received_ns
    assert record.item.device_time_ns.dtype == np.int64
    assert record.item.samples.dtype == np.float32
    assert record.item.saturated.dtype == np.bool_
    np.testing.assert_array_equal(record.item.device_time_ns, block.device_time_ns)
    np.testing.assert_array_equal(record.item.samples.view(np.uint32), block.samples.view(np.uint32))  # NaN and -0 too
    np.testing.assert_array_equal(record.item.saturated, block.saturated)


@given(stream_ids, small_items)
def test_every_other_item_comes_back_equal(stream_id: int, item: Gap | LinkStatus) -> None:
    record = Record(stream_id, item)
    assert decode_record(encode_record(record)) == record


@given(records)
def test_no_record_is_longer_than_the_limit(record: Record) -> None:
    assert len(encode_record(record)) <= MAX_RECORD_BYTES


@given(st.integers(0, 7), st.binary(max_size=MAX_RECORD_BYTES + 8))
def test_any_bytes_are_refused_or_are_exactly_what_their_record_gives(kind: int, data: bytes) -> None:
    data = bytes([kind]) + data
    try:
        record = decode_record(data)
    except RingError:
        return
    assert encode_record(record) == data


@given(records, st.data())
def test_a_changed_byte_is_refused_or_makes_another_valid_record(record: Record, data: st.DataObject) -> None:
    raw = bytearray(encode_record(record))
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        found = decode_record(bytes(raw))
    except RingError:
        return
    assert encode_record(found) == raw


@given(records, st.data())
def test_a_record_cut_short_or_lengthened_is_refused(record: Record, data: st.DataObject) -> None:
    assume(not isinstance(record.item, CorruptPacket | LinkStatus))  # they end in text of any length
    raw = encode_record(record)
    with pytest.raises(RingError, match="ring record of"):
        decode_record(raw[: data.draw(st.integers(0, len(raw) - 1))])
    with pytest.raises(RingError, match="ring record of"):
        decode_record(raw + b"\0")


def test_a_full_block_has_the_largest_size() -> None:
    assert len(encode_record(full_block())) == MAX_RECORD_BYTES == 640


@pytest.mark.parametrize(
    ("at", "form", "value", "message"),
    [
        (0, "B", 0, "kind 0"),
        (0, "B", 9, "kind 9"),
        (2, "H", 0, "a block of 0 samples"),
        (2, "H", 20, "a block of 20 samples"),
        (4, "I", 1 << 19, "a block of 19 samples"),
        (40, "q", 0, "device time does not rise"),
    ],
)
def test_a_field_out_of_range_is_refused_by_name(at: int, form: str, value: int, message: str) -> None:
    raw = bytearray(encode_record(full_block()))
    struct.pack_into("<" + form, raw, at, value)
    with pytest.raises(RingError, match=message):
        decode_record(bytes(raw))


def test_text_that_is_not_utf8_is_refused() -> None:
    raw = encode_record(Record(0, CorruptPacket("é", 1)))
    with pytest.raises(RingError, match="not UTF-8"):
        decode_record(raw[:-1])


@pytest.mark.parametrize(
    ("at", "form", "value", "message"),
    [
        (32, "d", float("nan"), "rate_hz must be finite"),
        (48, "d", -1.0, "packet_rate_expected_hz must be finite"),
        (120, "h", 101, "battery_percent must be 0 to 100"),
        (122, "h", -200, "rssi_dbm must be -128 to 127"),
    ],
)
def test_a_link_status_with_an_impossible_value_is_refused(at: int, form: str, value: float, message: str) -> None:
    status = LinkStatus(LinkState.STREAMING, "foot", 104.0, 1, 2, 3, 4, 5, 6, 7)
    raw = bytearray(encode_record(Record(0, status)))
    struct.pack_into("<" + form, raw, at, value)
    with pytest.raises(RingError, match=message):
        decode_record(bytes(raw))


@given(st.text(min_size=MAX_TEXT_BYTES, max_size=3 * MAX_TEXT_BYTES))
def test_a_long_reason_is_cut_between_characters(reason: str) -> None:
    item = decode_record(encode_record(Record(0, CorruptPacket(reason, 1)))).item
    assert isinstance(item, CorruptPacket)
    assert reason.startswith(item.reason)
    assert MAX_TEXT_BYTES - 4 < len(item.reason.encode()) <= MAX_TEXT_BYTES


def test_arrays_of_a_decoded_block_cannot_be_written() -> None:
    block = decode_record(encode_record(full_block())).item
    assert isinstance(block, Block)
    with pytest.raises(ValueError, match="read-only"):
        block.samples[0, 0] = 1.0


def test_values_that_no_record_can_hold_are_a_bug_of_the_caller() -> None:
    block = full_block().item
    with pytest.raises(ValueError, match="stream_id must be 0 to 255"):
        Record(256, Restart(1, 2))
    with pytest.raises(ValueError, match="a block has a host_time_ns"):
        Record(0, block)
    with pytest.raises(ValueError, match="a block has a host_time_ns"):
        Record(0, Restart(1, 2), host_time_ns=3)
    with pytest.raises(ValueError, match="at most 96 bytes"):
        LinkStatus(LinkState.SILENT, "é" * 49, 0.0, 0, 0, 0, 0, 0, 0, 0)
    n = MAX_BLOCK_SAMPLES + 1
    large = Block(0, np.arange(n), np.zeros((n, N_CHANNELS), np.float32), np.zeros(n, np.bool_), 0)
    with pytest.raises(ValueError, match="a block of 20 samples"):
        encode_record(Record(0, large, 0))
