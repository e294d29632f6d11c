"""Polar measurement data: the samples in one notification, raw or delta-compressed.

Bytes enter; counts become g or deg/s by the factor that the sensor gave when it was started. No state is kept: gaps,
times and the pairing of both streams belong to others. Layout as in Polar's SDK (``PmdDataFrame``, ``AccData``,
``GyrData``, ``BlePMDClient.parseDeltaFramesAll``), little-endian::

    u8 kind (2 acceleration, 5 rotation) · u64 ns since 2000 of the last sample · u8 type (bit 7 compressed) · data
    raw          n × 3 × i8, i16 or i24
    compressed   3 × i16 (or float32) first sample, then blocks: u8 bits a delta · u8 n · n × 3 deltas, lowest bit first
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

ACC_TYPE: Final = 2
GYR_TYPE: Final = 5
N_AXES: Final = 3
PLAUSIBLE_SHARE: Final = 2.0
"""Beyond so much of the range no sample can be: a wrong factor, or bytes that are none of ours."""

_HEADER: Final = struct.Struct("<BQB")
_COMPRESSED: Final = 0x80
_MILLI: Final = 1e-3
_MAX_STAMP: Final = 1 << 62
_MAX_DELTA_BITS: Final = 32
_FLOAT_EXPONENT: Final = 0x7F80_0000


class FrameError(ValueError):
    """Bytes that hold no samples; the text is the reason."""


@dataclass(frozen=True, slots=True)
class Scale:
    """What the settings say of a stream: ``factor`` from counts to the frame's unit, ``full`` in g or deg/s."""

    factor: float
    full: float


@dataclass(frozen=True, slots=True)
class PolarFrame:
    """Samples of one kind: ``values`` of shape ``(n, 3)`` in g or deg/s, ``saturated`` of shape ``(n,)``.

    ``stamp_ns`` is the sensor's time of the last one, in ns since 2000.
    """

    kind: int
    stamp_ns: int
    values: NDArray[np.float64]
    saturated: NDArray[np.bool_]


def parse_frame(data: bytes, scales: Mapping[int, Scale]) -> PolarFrame:
    """The samples of a notification; `FrameError` says why there are none."""
    if len(data) < _HEADER.size:
        raise FrameError(f"truncated: {len(data)} bytes, the header alone has {_HEADER.size}")
    kind, stamp_ns, frame_type = _HEADER.unpack_from(data)
    if kind not in scales:
        raise FrameError(f"measurement type {kind} was not started")
    if stamp_ns >= _MAX_STAMP:
        raise FrameError("its time stamp is beyond any clock")
    scale, content = scales[kind], data[_HEADER.size :]
    counts: NDArray[np.int64] | NDArray[np.float64]
    match kind, frame_type:
        case (2, 0x00) | (2, 0x01) | (2, 0x02):
            n_bytes = frame_type + 1
            counts, unit, bits = _raw(content, n_bytes), _MILLI, 8 * n_bytes
        case (5, 0x00):
            counts, unit, bits = _raw(content, 2), scale.factor, 16
        case (2, 0x80) | (5, 0x80):
            counts, unit, bits = _decompress(content, 16), scale.factor, 16
        case (2, 0x81):
            counts, unit, bits = _decompress(content, 16), scale.factor * _MILLI, 16
        case (5, 0x81):
            counts, unit, bits = _floats(_decompress(content, 32)), scale.factor, 0
        case _:
            raise FrameError(f"unknown frame type {frame_type:#04x} of measurement type {kind}")
    values = counts * unit
    magnitude = np.abs(values)
    if (magnitude > PLAUSIBLE_SHARE * scale.full).any():
        raise FrameError("a value is far beyond the sensor's range")
    at_limit = magnitude >= scale.full
    if bits:
        at_limit |= np.abs(counts) >= (1 << bits - 1) - 1
    return PolarFrame(kind, stamp_ns, values, at_limit.any(axis=1))


def _raw(content: bytes, n_bytes: int) -> NDArray[np.int64]:
    sample_bytes = N_AXES * n_bytes
    if len(content) == 0 or len(content) % sample_bytes:
        raise FrameError(f"{len(content)} bytes of samples, not a multiple of {sample_bytes}")
    octets = np.frombuffer(content, np.uint8).reshape(-1, N_AXES, n_bytes).astype(np.int64)
    counts: NDArray[np.int64] = octets @ (1 << 8 * np.arange(n_bytes))
    return counts - ((counts >> 8 * n_bytes - 1) << 8 * n_bytes)


def _decompress(content: bytes, bits: int) -> NDArray[np.int64]:
    """``(n, 3)`` numbers of so many bits: a first sample, then the differences from sample to sample in blocks."""
    offset = N_AXES * bits // 8
    if len(content) < offset:
        raise FrameError(f"truncated: {len(content)} bytes, the first sample alone has {offset}")
    parts = [np.frombuffer(content, f"<i{bits // 8}", N_AXES).astype(np.int64).reshape(1, N_AXES)]
    while offset < len(content):
        if offset + 2 > len(content):
            raise FrameError("truncated: half the head of a block of deltas")
        delta_bits, n_samples = content[offset], content[offset + 1]
        offset += 2
        if not (0 < delta_bits <= _MAX_DELTA_BITS) and n_samples:
            raise FrameError(f"deltas of {delta_bits} bits")
        n_bits = n_samples * N_AXES * delta_bits
        end = offset + (n_bits + 7) // 8
        if end > len(content):
            raise FrameError(f"truncated: a block of {n_samples} deltas ends {end - len(content)} bytes further")
        parts.append(_deltas(content[offset:end], delta_bits, n_bits))
        offset = end
    numbers: NDArray[np.int64] = np.cumsum(np.concatenate(parts), axis=0)
    if bits == 16 and ((numbers < -(1 << 15)) | (numbers >= 1 << 15)).any():
        raise FrameError("deltas lead out of 16 bits")
    return numbers


def _deltas(block: bytes, delta_bits: int, n_bits: int) -> NDArray[np.int64]:
    if n_bits == 0:
        return np.empty((0, N_AXES), np.int64)
    bit = np.unpackbits(np.frombuffer(block, np.uint8), count=n_bits, bitorder="little")
    weights = 1 << np.arange(delta_bits, dtype=np.int64)
    weights[-1] = -weights[-1]  # two's complement
    deltas: NDArray[np.int64] = bit.reshape(-1, N_AXES, delta_bits).astype(np.int64) @ weights
    return deltas


def _floats(numbers: NDArray[np.int64]) -> NDArray[np.float64]:
    """Numbers of 32 bits that are float32 by their bits; sums go round."""
    if ((numbers & _FLOAT_EXPONENT) == _FLOAT_EXPONENT).any():
        raise FrameError("a value is not finite")
    floats: NDArray[np.float32] = (numbers & 0xFFFF_FFFF).astype("<u4").view("<f4")
    return floats.astype(np.float64)
