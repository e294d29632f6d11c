"""What a sensor of the user's own sends, in values: where its numbers stand in a packet and what they are worth.

Values enter and are checked against each other once; nothing is decoded here. Every packet holds the same number of
samples at the same places: acceleration and angular rate in one notification.
"""

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from firmware_bridge.channels import CHANNELS, N_CHANNELS
from firmware_bridge.device import Write

FORMATS: Final = {
    "i8": "<b",
    "u8": "<B",
    "i16": "<h",
    "u16": "<H",
    "i32": "<i",
    "u32": "<I",
    "f32": "<f",
    "f64": "<d",
    "i16be": ">h",
    "u16be": ">H",
    "i32be": ">i",
    "u32be": ">I",
    "f32be": ">f",
    "f64be": ">d",
}
"""How the `struct` module calls a type: little-endian, or big-endian with ``be`` at its end."""
MAX_PACKET_BYTES: Final = 512
"""The most that an attribute of GATT holds."""


@dataclass(frozen=True, slots=True)
class Number:
    """One number in a packet, ``offset`` bytes from its start (of a channel: in the first sample)."""

    type: str
    offset: int

    def __post_init__(self) -> None:
        if self.type not in FORMATS:
            raise ValueError(f"type {self.type!r} is none of {', '.join(FORMATS)}")
        if self.offset < 0:
            raise ValueError(f"an offset of {self.offset}; it counts bytes from 0")

    @property
    def is_float(self) -> bool:
        """Whether it may be no number at all."""
        return self.type.startswith("f")

    @property
    def n_bytes(self) -> int:
        """Its length."""
        return int(self.type.strip("iufbe")) // 8

    @property
    def low(self) -> float:
        """The least value."""
        return -math.inf if self.is_float else (-(1 << (8 * self.n_bytes - 1)) if self.type.startswith("i") else 0)

    @property
    def high(self) -> float:
        """The greatest value."""
        if self.is_float:
            return math.inf
        return (1 << (8 * self.n_bytes - (1 if self.type.startswith("i") else 0))) - 1


@dataclass(frozen=True, slots=True)
class Channel:
    """Where one channel stands in the first sample, and what one count is worth in m/s² or rad/s."""

    number: Number
    si_per_count: float

    def __post_init__(self) -> None:
        if not math.isfinite(self.si_per_count) or self.si_per_count == 0:
            raise ValueError(f"a scale of {self.si_per_count}; it is what one count is worth")


class Counts(StrEnum):
    """What a counter counts."""

    PACKETS = "packets"
    SAMPLES = "samples"


@dataclass(frozen=True, slots=True)
class Counter:
    """A counter that goes on while nobody listens; of samples: the number of the packet's first one."""

    number: Number
    counts: Counts = Counts.PACKETS
    modulo: int = 0
    """After so many it is 0 again; 0: as its type has it."""

    def __post_init__(self) -> None:
        if self.number.is_float:
            raise ValueError("a counter is no floating-point number")
        _check_modulo(self.modulo, self.number)

    @property
    def wrap(self) -> int:
        """After how many it is 0 again."""
        return self.modulo or 1 << (8 * self.number.n_bytes)


@dataclass(frozen=True, slots=True)
class Clock:
    """The sensor's time, ``tick_ns`` a tick, of the first or the last sample of a packet."""

    number: Number
    tick_ns: float
    modulo: int = 0
    """After so many ticks it is 0 again; 0: as its type has it, a floating-point number never."""
    is_of_last_sample: bool = False

    def __post_init__(self) -> None:
        if not (math.isfinite(self.tick_ns) and self.tick_ns > 0):
            raise ValueError(f"a tick of {self.tick_ns} ns; it must be above 0")
        _check_modulo(self.modulo, self.number)

    @property
    def wrap(self) -> int:
        """After how many ticks it is 0 again; 0: never."""
        return self.modulo or (0 if self.number.is_float else 1 << (8 * self.number.n_bytes))


@dataclass(frozen=True, slots=True)
class Description:
    """A whole sensor; raises ValueError in a line for what cannot be.

    ``channels`` are acc x y z, gyr x y z of the first sample; those of the next stand ``stride_bytes`` further. It is
    known by all that is given of ``name_prefix`` and ``service_uuid``. UUIDs are whole and in lower case.
    """

    key: str
    title: str
    data_uuid: str
    rate_hz: float
    acc_range_g: float
    gyr_range_deg_s: float
    channels: tuple[Channel, ...]
    packet_bytes: int
    samples_per_packet: int = 1
    stride_bytes: int = 0
    name_prefix: str = ""
    service_uuid: str = ""
    counter: Counter | None = None
    clock: Clock | None = None
    start: tuple[Write, ...] = ()
    stop: tuple[Write, ...] = ()
    axes: str = "the sensor's own"
    is_foot_frame: bool = False
    source: str = "a description of the user's own"

    def __post_init__(self) -> None:
        if not self.name_prefix and not self.service_uuid:
            raise ValueError("neither name_prefix nor service: say by which the sensor is known")
        for name in ("rate_hz", "acc_range_g", "gyr_range_deg_s"):
            if not (math.isfinite(getattr(self, name)) and getattr(self, name) > 0):
                raise ValueError(f"{name} = {getattr(self, name):g}; it must be above 0")
        if not 1 <= self.packet_bytes <= MAX_PACKET_BYTES:
            raise ValueError(f"packet_bytes = {self.packet_bytes}; a notification has 1 to {MAX_PACKET_BYTES}")
        if self.samples_per_packet < 1:
            raise ValueError(f"samples_per_packet = {self.samples_per_packet}; it must be 1 or more")
        if self.samples_per_packet > 1 and self.stride_bytes < 1:
            raise ValueError("stride_bytes is missing: how far the samples of a packet are apart")
        if len(self.channels) != N_CHANNELS:
            raise ValueError(f"{len(self.channels)} channels; {', '.join(CHANNELS)} are needed")
        last = (self.samples_per_packet - 1) * self.stride_bytes
        for name, channel in zip(CHANNELS, self.channels, strict=True):
            self._check_inside(name, channel.number, last)
        for name, field in (("counter", self.counter), ("clock", self.clock)):
            if field is not None:
                self._check_inside(name, field.number, 0)

    def _check_inside(self, name: str, number: Number, last: int) -> None:
        stop = number.offset + last + number.n_bytes
        if stop > self.packet_bytes:
            raise ValueError(f"{name} ends at byte {stop}, but a packet has packet_bytes = {self.packet_bytes}")


def _check_modulo(modulo: int, number: Number) -> None:
    if modulo == 1 or modulo < 0 or modulo - 1 > number.high:
        raise ValueError(f"a modulo of {modulo}; a number of type {number.type} cannot hold one like that")
