"""Our packet, version 1: its layout, its GATT identifiers, and the way between bytes and values.

Bytes enter and values leave, or the other way round; each value is checked once, when it is made, and each pair
``from_bytes`` / ``__bytes__`` gives back what it was given. Everything is little-endian. This module keeps no state
between packets: wraps, gaps and times belong to `firmware_bridge.decoder_v1`.

::

    data     u8 0x11 · u8 n_samples · u16 packet_seq · u32 first_sample_index · u32 t_first_us · n × 6 × i16
    info     u8 version · u8 n_samples · u16 rate (0.1 Hz) · u16 acc LSB per g · u16 gyr LSB per 10 deg/s
             · u32 boot_id · u8 side · u8 frame · u16 reserved = 0
    control  01 start · 02 stop · 03 u16 rate (0.1 Hz) · 04 u16 g, u16 deg/s · 05 u32 token
    answer   u8 op · u8 status, and for 05 then u32 token · u32 t_us
"""

import math
import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.channels import ACC, GYR, N_CHANNELS, STANDARD_GRAVITY_M_S2

SERVICE_UUID: Final = "6f1d0001-8a3b-4c0e-9d57-2b6a1f3e7c90"
DATA_UUID: Final = "6f1d0002-8a3b-4c0e-9d57-2b6a1f3e7c90"
CONTROL_UUID: Final = "6f1d0003-8a3b-4c0e-9d57-2b6a1f3e7c90"
INFO_UUID: Final = "6f1d0004-8a3b-4c0e-9d57-2b6a1f3e7c90"
NAME_PREFIX: Final = "FE-"
MAX_NAME_CHARACTERS: Final = 8
"""Flags, a 128-bit service UUID and this much name fill an advertisement's 31 bytes."""

VERSION: Final = 1
MAX_SAMPLES: Final = 19
"""19 samples are 240 bytes, the most that fits a notification at an MTU of 247."""
FULL_COUNTS: Final = 32767
"""A count of ±32767, or -32768, says that the sensor saturated."""

_VERSION_AND_TYPE: Final = 0x11
_HEADER: Final = struct.Struct("<BBHII")
_INFO: Final = struct.Struct("<BBHHHIBBH")
_SAMPLE_BYTES: Final = 2 * N_CHANNELS
_COUNTS_DTYPE: Final = np.dtype("<i2")
_U8: Final = 0xFF
_U16: Final = 0xFFFF
_U32: Final = 0xFFFF_FFFF


class PacketError(ValueError):
    """Bytes or numbers that are no packet of version 1; the text is the reason."""


def _check(name: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise PacketError(f"{name} must be {low} to {high}, got {value}")


@dataclass(frozen=True, slots=True, eq=False)
class DataPacket:
    """Up to 19 consecutive samples as raw counts: ``(n, 6)`` int16, acc xyz then gyr xyz.

    ``first_sample_index`` and ``t_first_us`` (device clock) belong to the first sample; both are modulo 2³².
    A packet made from bytes views them: ``counts`` is then read-only.
    """

    packet_seq: int
    first_sample_index: int
    t_first_us: int
    counts: NDArray[np.int16]

    def __post_init__(self) -> None:
        if self.counts.dtype != _COUNTS_DTYPE or self.counts.ndim != 2 or self.counts.shape[1] != N_CHANNELS:
            raise PacketError(
                f"counts must be int16 of shape (n, {N_CHANNELS}), got {self.counts.dtype} of {self.counts.shape}"
            )
        _check("n_samples", len(self.counts), 1, MAX_SAMPLES)
        _check("packet_seq", self.packet_seq, 0, _U16)
        _check("first_sample_index", self.first_sample_index, 0, _U32)
        _check("t_first_us", self.t_first_us, 0, _U32)

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """The packet in one notification; `PacketError` says why there is none."""
        if len(data) < _HEADER.size:
            raise PacketError(f"truncated: {len(data)} bytes, the header alone has {_HEADER.size}")
        version_and_type, n_samples, packet_seq, first_sample_index, t_first_us = _HEADER.unpack_from(data)
        if version_and_type != _VERSION_AND_TYPE:
            what = "version" if version_and_type >> 4 != VERSION else "type"
            raise PacketError(f"unknown {what}: first byte {version_and_type:#04x}, not {_VERSION_AND_TYPE:#04x}")
        _check("n_samples", n_samples, 1, MAX_SAMPLES)
        n_bytes = _HEADER.size + n_samples * _SAMPLE_BYTES
        if len(data) != n_bytes:
            what = "truncated" if len(data) < n_bytes else "over-long"
            raise PacketError(f"{what}: {len(data)} bytes, {n_samples} samples need {n_bytes}")
        counts = np.frombuffer(data, _COUNTS_DTYPE, offset=_HEADER.size).reshape(n_samples, N_CHANNELS)
        return cls(packet_seq, first_sample_index, t_first_us, counts)

    def __bytes__(self) -> bytes:
        """The notification."""
        header = _HEADER.pack(
            _VERSION_AND_TYPE, len(self.counts), self.packet_seq, self.first_sample_index, self.t_first_us
        )
        return header + self.counts.tobytes()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, DataPacket):
            return NotImplemented
        return bytes(self) == bytes(other)

    def __hash__(self) -> int:
        return hash(bytes(self))


class Side(IntEnum):
    """The foot that wears the sensor."""

    UNKNOWN = 0
    LEFT = 1
    RIGHT = 2


class Frame(IntEnum):
    """The axes of the counts: the sensor's own, or the foot's (x toe, y left, z up)."""

    SENSOR = 0
    FOOT = 1


@dataclass(frozen=True, slots=True)
class Info:
    """What a sensor says of itself, read on each connection. Default: 104 Hz, four samples, ±16 g, ±2000 deg/s."""

    boot_id: int
    n_samples: int = 4
    rate_tenth_hz: int = 1040
    acc_lsb_per_g: int = 2048
    gyr_lsb_per_10_deg_s: int = 164
    side: Side = Side.UNKNOWN
    frame: Frame = Frame.SENSOR

    def __post_init__(self) -> None:
        _check("boot_id", self.boot_id, 0, _U32)
        _check("n_samples", self.n_samples, 1, MAX_SAMPLES)
        _check("rate_tenth_hz", self.rate_tenth_hz, 1, _U16)
        _check("acc_lsb_per_g", self.acc_lsb_per_g, 1, _U16)
        _check("gyr_lsb_per_10_deg_s", self.gyr_lsb_per_10_deg_s, 1, _U16)

    @property
    def rate_hz(self) -> float:
        """Nominal samples a second."""
        return self.rate_tenth_hz / 10

    @property
    def si_per_count(self) -> NDArray[np.float32]:
        """``(6,)``: what one count is worth, in m/s² and rad/s."""
        scale = np.empty(N_CHANNELS, np.float32)
        scale[ACC] = STANDARD_GRAVITY_M_S2 / self.acc_lsb_per_g
        scale[GYR] = math.radians(10 / self.gyr_lsb_per_10_deg_s)
        return scale

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """The 16 bytes of the info characteristic; `PacketError` says what is wrong with them."""
        if len(data) != _INFO.size:
            raise PacketError(f"info has {len(data)} bytes, not {_INFO.size}")
        version, n_samples, rate, acc, gyr, boot_id, side, frame, reserved = _INFO.unpack(data)
        if version != VERSION:
            raise PacketError(f"unknown version: {version}, not {VERSION}")
        _check("side", side, 0, len(Side) - 1)
        _check("frame", frame, 0, len(Frame) - 1)
        _check("reserved", reserved, 0, 0)
        return cls(boot_id, n_samples, rate, acc, gyr, Side(side), Frame(frame))

    def __bytes__(self) -> bytes:
        """What a read of the info characteristic gives."""
        return _INFO.pack(
            VERSION,
            self.n_samples,
            self.rate_tenth_hz,
            self.acc_lsb_per_g,
            self.gyr_lsb_per_10_deg_s,
            self.boot_id,
            self.side,
            self.frame,
            0,
        )


class Op(IntEnum):
    """The first byte of a control write."""

    START = 1
    STOP = 2
    SET_RATE = 3
    SET_RANGES = 4
    TIME_ECHO = 5


class Status(IntEnum):
    """How a control write ended."""

    DONE = 0
    UNKNOWN = 1
    BAD_VALUE = 2
    BUSY = 3


_ARGUMENTS: Final = {
    Op.START: struct.Struct("<"),
    Op.STOP: struct.Struct("<"),
    Op.SET_RATE: struct.Struct("<H"),
    Op.SET_RANGES: struct.Struct("<HH"),
    Op.TIME_ECHO: struct.Struct("<I"),
}
_ECHO: Final = struct.Struct("<II")


@dataclass(frozen=True, slots=True)
class Command:
    """One control write; the named constructors below are the way to make one."""

    op: Op
    arguments: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        form = _ARGUMENTS[self.op].format.lstrip("<")
        if len(self.arguments) != len(form):
            raise PacketError(f"{self.op.name} takes {len(form)} arguments, got {len(self.arguments)}")
        for argument, kind in zip(self.arguments, form, strict=True):
            _check(f"argument of {self.op.name}", argument, 0, _U16 if kind == "H" else _U32)

    @classmethod
    def start(cls) -> Self:
        """Stream from now on; to be sent again after each reconnection."""
        return cls(Op.START)

    @classmethod
    def stop(cls) -> Self:
        """Stream no more; samples are still taken and counted."""
        return cls(Op.STOP)

    @classmethod
    def set_rate(cls, rate_tenth_hz: int) -> Self:
        """Sample at this rate; read the info again afterwards."""
        return cls(Op.SET_RATE, (rate_tenth_hz,))

    @classmethod
    def set_ranges(cls, acc_g: int, gyr_deg_s: int) -> Self:
        """Measure up to these magnitudes; read the info again afterwards."""
        return cls(Op.SET_RANGES, (acc_g, gyr_deg_s))

    @classmethod
    def time_echo(cls, token: int) -> Self:
        """Ask for the device clock; the answer carries the token."""
        return cls(Op.TIME_ECHO, (token,))

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """A control write; `PacketError` for an op that is unknown or arguments of the wrong length."""
        if not data or data[0] not in list(Op):
            raise PacketError(f"unknown op in control write {data[:8].hex() or '(empty)'}")
        op = Op(data[0])
        arguments = _ARGUMENTS[op]
        if len(data) != 1 + arguments.size:
            raise PacketError(f"{op.name} has {len(data)} bytes, not {1 + arguments.size}")
        return cls(op, arguments.unpack_from(data, 1))

    def __bytes__(self) -> bytes:
        """What is written to the control characteristic."""
        return bytes([self.op]) + _ARGUMENTS[self.op].pack(*self.arguments)


@dataclass(frozen=True, slots=True)
class Answer:
    """The indication that ends a control write. ``op`` may be one that nobody knows: status `UNKNOWN` sends it back.

    ``token`` and ``t_us`` (device clock modulo 2³²) are there for a time echo that was done, and only then.
    """

    op: int
    status: Status
    token: int | None = None
    t_us: int | None = None

    def __post_init__(self) -> None:
        _check("op", self.op, 0, _U8)
        echoed = self.op == Op.TIME_ECHO and self.status is Status.DONE
        for name, value in (("token", self.token), ("t_us", self.t_us)):
            if (value is not None) != echoed:
                raise PacketError(f"{name} belongs to a time echo that was done, and only there")
            if value is not None:
                _check(name, value, 0, _U32)

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """An indication; `PacketError` says what is wrong with it."""
        if len(data) < 2:
            raise PacketError(f"truncated: {len(data)} bytes of indication")
        _check("status", data[1], 0, len(Status) - 1)
        if len(data) == 2:
            return cls(data[0], Status(data[1]))
        if len(data) != 2 + _ECHO.size:
            raise PacketError(f"indication has {len(data)} bytes, neither 2 nor {2 + _ECHO.size}")
        token, t_us = _ECHO.unpack_from(data, 2)
        return cls(data[0], Status(data[1]), token, t_us)

    def __bytes__(self) -> bytes:
        """What the control characteristic indicates."""
        echo = b"" if self.token is None or self.t_us is None else _ECHO.pack(self.token, self.t_us)
        return bytes([self.op, self.status]) + echo
