"""What the ring carries: events of one sensor and the state of its link, to bytes and back.

A `Record` enters `encode_record` and bytes leave, at most `MAX_RECORD_BYTES` of them; `decode_record` is the way back,
exact to the bit. Bytes are only ever read as numbers and text of fixed places: never pickle, and whatever is no
record is a `RingError`, never a half-filled value.

Little-endian. 32 bytes that every record has: u8 kind, u8 stream id, u16 count, u32 bits, u64 number, i64 received_ns,
i64 host_time_ns; what they and the rest mean is said by the branches of `encode_record`.
"""

import struct
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np

from edge.errors import RingError
from firmware_bridge.channels import N_CHANNELS
from firmware_bridge.events import Block, CorruptPacket, DuplicatePacket, Event, Gap, Restart

MAX_BLOCK_SAMPLES: Final = 19
"""As many as fit one packet of 247 bytes."""
MAX_TEXT_BYTES: Final = 96
"""UTF-8 bytes of a sensor's name, refused beyond, or of a corrupt packet's reason, cut there."""

_HEAD: Final = struct.Struct("<BBHIQqq")
_LINK: Final = struct.Struct("<3d8Q2h")
_UNKNOWN: Final = 0x7FFF  # of a battery or signal strength that nobody has read yet
_TIME: Final = np.dtype("<i8")
_VALUE: Final = np.dtype("<f4")
_SAMPLE_BYTES: Final = _TIME.itemsize + N_CHANNELS * _VALUE.itemsize

MAX_RECORD_BYTES: Final = _HEAD.size + MAX_BLOCK_SAMPLES * _SAMPLE_BYTES
"""A full block; `edge.ring.DEFAULT_SLOT_BYTES` has room for it."""

_BLOCK, _GAP, _CORRUPT, _DUPLICATE, _RESTART, _LINK_STATUS = range(1, 7)


class LinkState(StrEnum):
    """Where the link to a sensor stands; ``silent`` is connected, and no data for too long."""

    SEARCHING = "searching"
    CONNECTING = "connecting"
    SUBSCRIBING = "subscribing"
    STREAMING = "streaming"
    SILENT = "silent"
    BACKING_OFF = "backing off"
    ENDED = "ended"


_LINK_STATES: Final = tuple(LinkState)


@dataclass(frozen=True, slots=True)
class LinkStatus:
    """What ingestion says about once a second; counts run since ingestion started.

    ``packets_received`` are notifications, without those that were corrupt or known in whole; of a sensor with two
    streams, those of both. ``sensor`` is the short pseudonymous name, ``rate_hz`` the sensor's rate, 0.0 while it is
    unknown, and ``received_ns`` the host's monotonic time of this status. ``packet_rate_hz`` is what came since the one
    before, beside what should have. ``samples_lost`` holds the estimated ones, which also stand alone.
    ``battery_percent`` and ``rssi_dbm`` are None where they are not known; ``boot_id`` is 0 where the sensor does not
    count its boots. ``is_foot_frame``: the sensor turns its axes itself, and none that are configured hold.
    """

    state: LinkState
    sensor: str
    rate_hz: float
    packets_received: int
    packets_corrupt: int
    packets_duplicate: int
    samples_received: int
    samples_lost: int
    reconnects: int
    received_ns: int
    samples_lost_estimated: int = 0
    gaps: int = 0
    packet_rate_hz: float = 0.0
    packet_rate_expected_hz: float = 0.0
    battery_percent: int | None = None
    rssi_dbm: int | None = None
    boot_id: int = 0
    is_foot_frame: bool = False

    def __post_init__(self) -> None:
        if len(self.sensor.encode()) > MAX_TEXT_BYTES:
            raise ValueError(f"a sensor name has at most {MAX_TEXT_BYTES} bytes, got {self.sensor!r}")
        for name in ("rate_hz", "packet_rate_hz", "packet_rate_expected_hz"):
            if not 0.0 <= getattr(self, name) < float("inf"):
                raise ValueError(f"{name} must be finite and not negative, got {getattr(self, name)}")
        if self.battery_percent is not None and not 0 <= self.battery_percent <= 100:
            raise ValueError(f"battery_percent must be 0 to 100, got {self.battery_percent}")
        if self.rssi_dbm is not None and not -128 <= self.rssi_dbm <= 127:
            raise ValueError(f"rssi_dbm must be -128 to 127, got {self.rssi_dbm}")


@dataclass(frozen=True, slots=True)
class Record:
    """One item of one sensor.

    ``stream_id`` (0 to 255) tells sensors on one ring apart. ``host_time_ns`` goes with a block and with nothing else:
    the host's monotonic time at which its first sample was taken, as mapped from the device clock.
    """

    stream_id: int
    item: Event | LinkStatus
    host_time_ns: int | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.stream_id <= 255:
            raise ValueError(f"stream_id must be 0 to 255, got {self.stream_id}")
        if isinstance(self.item, Block) != (self.host_time_ns is not None):
            raise ValueError("a block has a host_time_ns, nothing else has one")


def encode_record(record: Record) -> bytes:
    """The bytes of a record. `ValueError` for a block of more than `MAX_BLOCK_SAMPLES` samples."""
    item = record.item
    count = bits = number = 0
    host_time_ns = record.host_time_ns or 0
    rest = b""
    match item:
        case Block():
            kind, count, number = _BLOCK, len(item.samples), item.first_sample_index
            if count > MAX_BLOCK_SAMPLES:
                raise ValueError(f"a block of {count} samples, where a record holds {MAX_BLOCK_SAMPLES}")
            # bit i: sample i is saturated; then the times, then the samples row by row
            bits = int.from_bytes(np.packbits(item.saturated, bitorder="little").tobytes(), "little")
            rest = item.device_time_ns.astype(_TIME).tobytes() + item.samples.astype(_VALUE).tobytes()
        case Gap():
            kind, number, rest = _GAP, item.first_sample_index, item.n_samples.to_bytes(8, "little")
            bits = int(item.is_estimated)
        case CorruptPacket():
            kind = _CORRUPT
            cut = item.reason.encode(errors="replace")[:MAX_TEXT_BYTES]
            rest = cut.decode(errors="ignore").encode()  # no half character at the end
        case DuplicatePacket():
            kind, number = _DUPLICATE, item.packet_seq
        case Restart():
            kind, number = _RESTART, item.boot_id
        case LinkStatus():
            kind, count, number = _LINK_STATUS, _LINK_STATES.index(item.state), item.boot_id
            bits = int(item.is_foot_frame)
            rest = item.sensor.encode()
            rest = (
                _LINK.pack(
                    item.rate_hz,
                    item.packet_rate_hz,
                    item.packet_rate_expected_hz,
                    item.packets_received,
                    item.packets_corrupt,
                    item.packets_duplicate,
                    item.samples_received,
                    item.samples_lost,
                    item.samples_lost_estimated,
                    item.gaps,
                    item.reconnects,
                    _UNKNOWN if item.battery_percent is None else item.battery_percent,
                    _UNKNOWN if item.rssi_dbm is None else item.rssi_dbm,
                )
                + rest
            )
    return _HEAD.pack(kind, record.stream_id, count, bits, number, item.received_ns, host_time_ns) + rest


def decode_record(data: bytes) -> Record:
    """The record of some bytes; arrays are read-only views of them. `RingError` where they are no record."""
    if not _HEAD.size <= len(data) <= MAX_RECORD_BYTES:
        raise RingError(f"ring record of {len(data)} bytes: {_HEAD.size} to {MAX_RECORD_BYTES} are possible")
    kind, stream_id, count, bits, number, received_ns, host_time_ns = _HEAD.unpack_from(data)
    if kind == _BLOCK:
        return Record(stream_id, _decode_block(data, count, bits, number, received_ns), host_time_ns)
    rest = data[_HEAD.size :]
    item: Event | LinkStatus
    if kind == _GAP and len(rest) == 8:
        item = Gap(number, int.from_bytes(rest, "little"), received_ns, is_estimated=bits == 1)
    elif kind == _CORRUPT and len(rest) <= MAX_TEXT_BYTES:
        item = CorruptPacket(_text(rest), received_ns)
    elif kind == _DUPLICATE and not rest:
        item = DuplicatePacket(number, received_ns)
    elif kind == _RESTART and not rest:
        item = Restart(number, received_ns)
    elif kind == _LINK_STATUS and count < len(_LINK_STATES) and len(rest) >= _LINK.size:
        item = _decode_link_status(rest, _LINK_STATES[count], number, received_ns, is_foot_frame=bits == 1)
    else:
        raise RingError(f"ring record of kind {kind} and {len(data)} bytes: no such record")
    record = Record(stream_id, item)
    if encode_record(record) != data:
        raise RingError(f"ring record of kind {kind}: a place that it does not use is not 0")
    return record


def _decode_block(data: bytes, n_samples: int, bits: int, first_sample_index: int, received_ns: int) -> Block:
    fits = len(data) == _HEAD.size + n_samples * _SAMPLE_BYTES
    if not fits or not 0 < n_samples <= MAX_BLOCK_SAMPLES or bits >> n_samples:
        raise RingError(f"ring record of a block of {n_samples} samples in {len(data)} bytes: no such record")
    time_ns = np.frombuffer(data, _TIME, n_samples, _HEAD.size)
    values = np.frombuffer(data, _VALUE, n_samples * N_CHANNELS, _HEAD.size + n_samples * _TIME.itemsize)
    if not (time_ns[1:] > time_ns[:-1]).all():
        raise RingError("ring record of a block whose device time does not rise: no such record")
    saturated = np.frombuffer(bits.to_bytes(4, "little"), np.uint8)
    flags = np.unpackbits(saturated, count=n_samples, bitorder="little").view(np.bool_)
    return Block(first_sample_index, time_ns, values.reshape(n_samples, N_CHANNELS), flags, received_ns)


def _decode_link_status(
    rest: bytes, state: LinkState, boot_id: int, received_ns: int, *, is_foot_frame: bool
) -> LinkStatus:
    (
        rate_hz,
        packet_rate_hz,
        packet_rate_expected_hz,
        received,
        corrupt,
        duplicate,
        samples_received,
        samples_lost,
        samples_lost_estimated,
        gaps,
        reconnects,
        battery_percent,
        rssi_dbm,
    ) = _LINK.unpack_from(rest)
    try:
        return LinkStatus(
            state=state,
            sensor=_text(rest[_LINK.size :]),
            rate_hz=rate_hz,
            packets_received=received,
            packets_corrupt=corrupt,
            packets_duplicate=duplicate,
            samples_received=samples_received,
            samples_lost=samples_lost,
            reconnects=reconnects,
            received_ns=received_ns,
            samples_lost_estimated=samples_lost_estimated,
            gaps=gaps,
            packet_rate_hz=packet_rate_hz,
            packet_rate_expected_hz=packet_rate_expected_hz,
            battery_percent=None if battery_percent == _UNKNOWN else battery_percent,
            rssi_dbm=None if rssi_dbm == _UNKNOWN else rssi_dbm,
            boot_id=boot_id,
            is_foot_frame=is_foot_frame,
        )
    except ValueError as error:
        raise RingError(f"ring record of a link status: {error}") from error


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise RingError(f"ring record with text that is not UTF-8: {error.reason}") from error
