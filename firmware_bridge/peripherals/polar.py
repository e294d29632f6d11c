"""A virtual Polar sensor: samples in SI units enter, its measurement service and its notifications leave.

A Verity Sense by default, which sends its samples delta-compressed; raw by a keyword, or an H10, which has no
gyroscope. It shares no packing or parsing with the decoder. Layouts and answers are those of Polar's SDK.
"""

import math
import struct
from collections.abc import Mapping
from typing import Final, Unpack

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.channels import ACC, GYR, STANDARD_GRAVITY_M_S2, Samples
from firmware_bridge.peripheral import Characteristic, Notification, Service
from firmware_bridge.peripherals.sampled import BATTERY_SERVICE, Common, SampledPeripheral
from firmware_bridge.virtual_sensor import SampleSource

_TAIL: Final = "-02e7-f387-1cad-8acd2d8df0c8"
_CONTROL: Final = "fb005c81" + _TAIL
_DATA: Final = "fb005c82" + _TAIL
_SERVICES: Final = (
    Service(
        "fb005c80" + _TAIL,
        (Characteristic(_CONTROL, ("read", "write", "indicate")), Characteristic(_DATA, ("notify",))),
    ),
    BATTERY_SERVICE,
)
_EPOCH_NS: Final = 800_000_000_000_000_000
"""Its clock when it is made: some day in 2025, in ns since 2000."""
_BLOCK_SAMPLES: Final = 11
"""Three blocks of deltas in a packet, each as narrow as its own samples allow."""
_OK, _BAD_COMMAND, _BAD_TYPE, _BAD_PARAMETER, _ALREADY, _BAD_RATE, _BAD_RANGE = 0, 1, 2, 5, 6, 8, 9
_GET, _START, _STOP = 1, 2, 3


class PolarPeripheral(SampledPeripheral):
    """See `firmware_bridge.peripheral.Peripheral`. It advertises its name and its maker, and no service.

    A packet is two notifications, acceleration then rotation. ``has_gyroscope`` false makes it an H10. ``rates_hz``
    are on offer for both kinds, ``first_time_ns`` is its clock when it is made. Measurements end with the link.
    """

    def __init__(
        self,
        source: SampleSource,
        *,
        is_compressed: bool = True,
        has_gyroscope: bool = True,
        samples_per_packet: int = 34,
        rates_hz: tuple[int, ...] = (52,),
        first_time_ns: int = _EPOCH_NS,
        **common: Unpack[Common],
    ) -> None:
        self.default_name = "Polar Sense 0A1B2C3D" if has_gyroscope else "Polar H10 0A1B2C3D"
        super().__init__(source, rate_hz=rates_hz[0], samples_per_packet=samples_per_packet, **common)
        self._is_compressed = is_compressed
        self._rates_hz = rates_hz
        self._first_time_ns = first_time_ns
        self._ranges = {2: (8,), 5: (2000,)} if has_gyroscope else {2: (2, 4, 8)}
        self._measured: set[int] = set()

    @property
    def services(self) -> tuple[Service, ...]:
        """The measurement service and the battery's."""
        return _SERVICES

    @property
    def advertised_uuids(self) -> tuple[str, ...]:
        """None."""
        return ()

    @property
    def manufacturer_data(self) -> Mapping[int, bytes]:
        """Polar's company identifier."""
        return {0x006B: b""}

    @property
    def is_streaming(self) -> bool:
        """Whether both kinds are measured, for somebody who listens."""
        return self._measured == {2, 5} and _DATA in self._subscribed

    def link_lost(self) -> None:
        """Nothing is subscribed, nothing measured."""
        super().link_lost()
        self._measured.clear()

    def read(self, uuid: str, now_us: int) -> bytes:
        """The control point says what can be measured; else see the base class."""
        if uuid == _CONTROL:
            # Verity Sense: pulse wave, acceleration, pulse intervals, rotation, magnetic field. H10: ECG, acceleration.
            return bytes([0x0F, 0x6E if 5 in self._ranges else 0x05]) + bytes(14)
        return super().read(uuid, now_us)

    def write(self, uuid: str, data: bytes, now_us: int) -> list[Notification]:  # noqa: ARG002
        """Obey a command of the control point and answer it."""
        if uuid != _CONTROL:
            raise KeyError(uuid)
        command, kind = (data + b"\0\0")[:2]
        status, extra = self._obey(command, kind, data[2:])
        answer = bytes([0xF0, command, kind, status]) + (b"\0" + extra if status == _OK else b"")
        return [(_CONTROL, answer)] if _CONTROL in self._subscribed else []

    def pack(self, samples: Samples, first_index: int, time_us: NDArray[np.int64]) -> list[Notification]:  # noqa: ARG002
        """Both kinds, stamped with the time of the last sample."""
        stamp_ns = self._first_time_ns + int(time_us[-1]) * 1000
        return [
            (_DATA, self._frame(2, samples[:, ACC] / STANDARD_GRAVITY_M_S2, stamp_ns)),
            (_DATA, self._frame(5, np.degrees(samples[:, GYR]), stamp_ns)),
        ]

    def _obey(self, command: int, kind: int, parameters: bytes) -> tuple[int, bytes]:
        if command not in (_GET, _START, _STOP):
            return _BAD_COMMAND, b""
        if kind not in self._ranges:
            return _BAD_TYPE, b""
        if command == _GET:
            return _OK, self._offer(kind)
        if command == _STOP:
            self._measured.discard(kind)
            return _OK, b""
        if kind in self._measured:
            return _ALREADY, b""
        # Each setting: its number, a one, its value in two bytes, but for the channels in one.
        wanted: dict[int, int] = {}
        rest = parameters
        while rest:
            width = 1 if rest[0] == 4 else 2
            if rest[0] not in (0, 1, 2, 4) or len(rest) < 2 + width or rest[1] != 1:
                return _BAD_PARAMETER, b""
            wanted[rest[0]] = int.from_bytes(rest[2 : 2 + width], "little")
            rest = rest[2 + width :]
        if wanted.get(0) not in self._rates_hz:
            return _BAD_RATE, b""
        if wanted.get(2) not in self._ranges[kind]:
            return _BAD_RANGE, b""
        if wanted[0] != self.rate_hz:
            self.set_rate(wanted[0])
        self._measured.add(kind)
        return _OK, b"\x05\x01" + struct.pack("<f", self._factor(kind))

    def _offer(self, kind: int) -> bytes:
        rates = b"".join(rate.to_bytes(2, "little") for rate in self._rates_hz)
        ranges = b"".join(full.to_bytes(2, "little") for full in self._ranges[kind])
        return (
            bytes([0, len(self._rates_hz)])
            + rates
            + b"\x01\x01\x10\x00"
            + bytes([2, len(self._ranges[kind])])
            + ranges
            + b"\x04\x01\x03"
        )

    def _factor(self, kind: int) -> float:
        return max(self._ranges[kind]) / 32768

    def _frame(self, kind: int, values: Samples, stamp_ns: int) -> bytes:
        """In g or deg/s; compressed, or raw: then acceleration is in whole mg, which have no factor."""
        if not self._is_compressed and kind == 2:
            full_mg = max(self._ranges[kind]) * 1000
            counts = np.clip(np.rint(values * 1000.0), -full_mg, full_mg)
        else:
            counts = np.clip(np.rint(values / self._factor(kind)), -32768, 32767)
        numbers = counts.astype(np.int64)
        header = struct.pack("<BQ", kind, stamp_ns)
        if self._is_compressed:
            return header + b"\x80" + _compress(numbers)
        raw: bytes = numbers.astype("<i2").tobytes()
        return header + (b"\x01" if kind == 2 else b"\x00") + raw


def _compress(numbers: NDArray[np.int64]) -> bytes:
    """The first sample whole, then blocks of differences, packed into one big integer, lowest bits first."""
    out: bytes = numbers[0].astype("<i2").tobytes()
    deltas = np.diff(numbers, axis=0)
    for start in range(0, len(deltas), _BLOCK_SAMPLES):
        block = deltas[start : start + _BLOCK_SAMPLES]
        width = 1 + max((int(delta) if delta >= 0 else ~int(delta)).bit_length() for delta in block.flat)
        packed = 0
        for position, delta in enumerate(block.flat):
            packed |= (int(delta) % (1 << width)) << position * width
        out += bytes([width, len(block)]) + packed.to_bytes(math.ceil(block.size * width / 8), "little")
    return out
